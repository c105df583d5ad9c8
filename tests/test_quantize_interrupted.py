"""`keras-frm quantize` that was interrupted and is given again."""

import json
import shutil
import signal

import numpy as np
import pytest
from counted_calls import call_at, end_by
from test_cli import camvid, keras_frm  # noqa: F401
from test_quantize_command import FILES, SIZE, names_in, run  # noqa: F401
from test_resume import rows

from keras_frm import Segmenter
from keras_frm.quantization.freeze import scheme_of
from keras_frm.training import checkpoint, run_folder

pytest.importorskip("tf_keras")
pytestmark = pytest.mark.slow

STEPS = 2  # of an epoch: four images in batches of two
INT8 = "frm_int8.tflite"


@pytest.fixture(scope="module")
def command(run, camvid):  # noqa: F811
    """All of the command but its folder; it leaves out the comparison."""
    options = ("--size", *SIZE, "--epochs", 2, "--batch-size", 2, "--freeze-after", 3)
    options = (*options, "--distil", "--learning-rate", 0.01, "--seed", 5)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("keras_frm.cli.quantize.compare_files", lambda *_: "")
        yield ("quantize", run, "--data", camvid, *options, "--out")


@pytest.fixture(scope="module")
def whole(command, tmp_path_factory):
    """The folder of a command that nothing interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    done = keras_frm(*command, folder)
    assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def interrupted(command, tmp_path_factory):
    """The folder of a command that Ctrl-C ended in its second epoch."""
    folder = tmp_path_factory.mktemp("runs") / "parts"
    # Tests that run in the background of a shell start with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patched:
        call_at(patched.setattr, "on_train_batch_begin", STEPS + 1, end_by("INT"))
        done = keras_frm(*command, folder)
    signal.signal(signal.SIGINT, before)
    assert done.code == 130
    assert "Traceback" not in done.err
    assert not names_in(folder) & {*FILES, INT8}
    return folder


def assert_same_end(folder, other):
    """Compare the last checkpoint, the log, and what the trained file finds."""
    left, right = map(checkpoint.newest_checkpoint, (folder, other))
    assert left.position.finished
    assert right.position.finished
    for a, b in zip(left.variables, right.variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(rows(folder), rows(other), rtol=1e-4)
    assert names_in(folder) == names_in(other)
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    left, right = (Segmenter(path / INT8)(image) for path in (folder, other))
    assert len(np.unique(left)) > 1
    np.testing.assert_array_equal(left, right)


def test_the_same_command_goes_on_to_the_same_end(
    command, interrupted, whole, tmp_path
):
    before = checkpoint.newest_checkpoint(interrupted)
    assert before.position.global_step == STEPS + 1
    folder = shutil.copytree(interrupted, tmp_path / "run")
    done = keras_frm(*command, folder)
    assert done.code == 0, done.err
    assert "going on from" in done.err
    assert_same_end(folder, whole)
    assert scheme_of(run_folder.load_trained(folder)[0])
    for name in (*FILES, INT8):
        assert name in done.out

    # Equality says something: the rest of the training changed the variables.
    after = checkpoint.newest_checkpoint(folder).variables
    changed = [(a != b).any() for a, b in zip(before.variables, after, strict=True)]
    assert np.mean(changed) > 0.3


@pytest.mark.long
def test_one_interrupted_between_its_files_writes_them_without_training(
    command, whole, tmp_path
):
    folder = shutil.copytree(whole, tmp_path / "run")
    (folder / INT8).unlink()
    log = (folder / "log.csv").stat().st_mtime_ns
    done = keras_frm(*command, folder)
    assert done.code == 0, done.err
    assert_same_end(folder, whole)
    assert (folder / "log.csv").stat().st_mtime_ns == log


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (("--epochs", 3), "preset.epochs 2, not 3"),
        (("--freeze-after", 4), "freeze_after 3, not 4"),
        (("--no-distil",), "distil True, not False"),
        (("--keep-float", "classifier"), "keep_float"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_another_setting_is_named(options, match, command, interrupted):
    content = names_in(interrupted)
    *start, out = command
    line = keras_frm(*start, *options, out, interrupted).only_line
    assert match in line
    assert str(interrupted) in line
    assert names_in(interrupted) == content


@pytest.mark.long
def test_one_killed_before_its_first_checkpoint_begins_again(
    command, interrupted, whole, tmp_path, monkeypatch
):
    """A killed process could not remove what it had begun."""
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(interrupted / "config.json", folder)
    monkeypatch.setattr("keras_frm.cli.quantize.export_files", lambda *_: [])
    done = keras_frm(*command, folder)
    assert done.code == 0, done.err
    assert "going on" not in done.err
    np.testing.assert_allclose(rows(folder), rows(whole), rtol=1e-4)
    assert json.loads((folder / "config.json").read_text())["command"] == "quantize"
