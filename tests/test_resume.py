"""A training that was ended goes on as if nothing had happened."""

import errno
import json
import os
import random
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from counted_calls import call_at, end_by
from resumable_training import EPOCHS, STEPS
from test_cli import SMALL, camvid, keras_frm  # noqa: F401
from tiny import batch, toy_model

from keras_frm.files import DataError
from keras_frm.labels import CITYSCAPES, numbered_labels
from keras_frm.losses import CrossEntropy
from keras_frm.metrics import MeanIoU
from keras_frm.training import checkpoint, run_folder, variables
from keras_frm.training.average import AveragedWeights
from keras_frm.training.distribution import Distribution
from keras_frm.training.position import Position
from keras_frm.training.train import train

AVERAGED = {"weight_ema": 0.8, "accumulate": 3}

# === Processes that are ended ===


def run_process(folder, **options):
    """Train in a process; return what it left: exit code and standard error."""
    here = Path(__file__).parent
    return subprocess.run(
        [sys.executable, here / "resumable_training.py", folder, json.dumps(options)],
        env={**os.environ, "PYTHONPATH": str(here.parent)},
        cwd=here,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


def uninterrupted(tmp_path_factory, **options):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    done = run_process(folder, **options)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return uninterrupted(tmp_path_factory)


@pytest.fixture(scope="module")
def whole_averaged(tmp_path_factory):
    return uninterrupted(tmp_path_factory, **AVERAGED)


def assert_same_end(folder, whole):
    """Compare everything that two runs ended with, bit by bit."""
    assert (folder / "log.csv").read_bytes() == (whole / "log.csv").read_bytes()
    left, right = map(checkpoint.newest_checkpoint, (folder, whole))
    assert left.position == right.position
    assert left.position.finished
    assert len(left.variables) == len(right.variables)
    for a, b in zip(left.variables, right.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    for name in ("best.keras", "last.keras"):
        left, right = (
            keras.saving.load_model(path / name, compile=False)
            for path in (folder, whole)
        )
        for a, b in zip(left.get_weights(), right.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def end_and_go_on(folder, kill, place, number, expected_code, **options):
    """End a training, let it go on; return what the first process said."""
    ended = run_process(folder, kill=kill, at=[place, number], **options)
    assert ended.returncode == expected_code, ended.stderr
    assert "Traceback" not in ended.stderr
    resumed = run_process(folder, **options)
    assert resumed.returncode == 0, resumed.stderr
    return ended.stderr


@pytest.mark.slow
def test_killed_after_a_checkpoint_in_mid_epoch(tmp_path, whole):
    step = STEPS + random.Random().randrange(2, STEPS)
    end_and_go_on(tmp_path / "run", "KILL", "step", step, -9, minutes=0.0)
    assert_same_end(tmp_path / "run", whole)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(5))
def test_killed_anywhere(seed, tmp_path, whole):
    step = random.Random(seed).randrange(1, EPOCHS * STEPS + 1)
    end_and_go_on(tmp_path / "run", "KILL", "step", step, -9)
    assert_same_end(tmp_path / "run", whole)


@pytest.mark.long
@pytest.mark.parametrize(("place", "number"), [("step", 7), ("validation", 5)])
def test_killed_with_averaged_weights(place, number, tmp_path, whole_averaged):
    options = {**AVERAGED, "minutes": 0.0}
    end_and_go_on(tmp_path / "run", "KILL", place, number, -9, **options)
    assert_same_end(tmp_path / "run", whole_averaged)


@pytest.mark.long
@pytest.mark.parametrize(
    ("kill", "code"), [("TERM", 0), ("INT", 130)], ids=["TERM", "INT"]
)
@pytest.mark.parametrize(("place", "number"), [("step", 6), ("validation", 5)])
def test_signal_saves_first(kill, code, place, number, tmp_path, whole_averaged):
    folder = tmp_path / "run"
    said = end_and_go_on(folder, kill, place, number, code, **AVERAGED)
    # Steps and validations of three batches are counted over all epochs.
    done = "step 2" if place == "step" else f"step {STEPS}"
    assert f"stopped by a signal after {done} of epoch 2" in said
    assert_same_end(folder, whole_averaged)


@pytest.mark.slow
def test_signal_before_the_first_step_ends_at_once(tmp_path):
    ended = run_process(tmp_path / "run", kill="TERM", at=["step", 1])
    assert ended.returncode == 0
    assert not (tmp_path / "run").exists()


# === The same in one process ===

IMAGES, LABELS = batch(8, seed=1)
VALIDATION = tf.data.Dataset.from_tensor_slices(batch(6, seed=2)).batch(2)
NAMES = numbered_labels(3)


def stream(first_step, broken_step=None):
    """Return batches that depend on the step alone; one may be a broken file."""

    def examples(step):
        if step == broken_step:
            raise DataError(f"Image 'street_{step}.png' does not exist.")
        rows = [(2 * step) % 8, (2 * step + 1) % 8]
        return IMAGES[rows], LABELS[rows]

    def load(step):
        pair = tf.numpy_function(examples, [step], [tf.uint8, tf.uint8])
        for array, of in zip(pair, (IMAGES, LABELS), strict=True):
            array.set_shape((2, *of.shape[1:]))
        return tuple(pair)

    dataset = tf.data.Dataset.counter(first_step).map(load)
    dataset.steps_per_epoch = STEPS
    dataset.files_of = lambda step: [f"street_{step}.png", f"car_{step}.png"]
    return dataset


def make_model(filters=6, average=True):
    keras.utils.set_random_seed(7)
    model = toy_model(filters // 2, preset="camvid")
    options = {"use_ema": True, "ema_momentum": 0.7} if average else {}
    optimizer = keras.optimizers.SGD(0.1, momentum=0.5, **options)
    model.compile(optimizer, CrossEntropy(), [MeanIoU(filters // 2)])
    return model


def train_in(folder, data=stream, model=None, **options):
    model = model or make_model()
    history = train(*(model, data, VALIDATION, folder, NAMES), epochs=EPOCHS, **options)
    return model, history


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Folder, model and history of a training that nothing ended."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, *train_in(folder)


def assert_same_training(folder, trained):
    """Compare two trainings up to the round-off of parallel sums."""
    left, right = map(checkpoint.newest_checkpoint, (folder, trained[0]))
    for a, b in zip(left.variables, right.variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    for a, b in zip(*(rows(path) for path in (folder, trained[0])), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def rows(folder):
    """Return the numbers of a log."""
    lines = (folder / "log.csv").read_text().split()[1:]
    return [[float(value) for value in line.split(",")] for line in lines]


@pytest.mark.parametrize(
    ("name", "number", "position"),
    [
        pytest.param("on_train_batch_begin", 6, (1, 2), id="mid-epoch"),
        pytest.param("on_test_batch_begin", 5, (1, STEPS), id="validation"),
        pytest.param(
            *("on_train_batch_begin", 2 * STEPS, (1, STEPS)),
            id="last step",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            *("on_epoch_end", 2, (2, 0)), id="end of epoch", marks=pytest.mark.slow
        ),
    ],
)
def test_sigterm(name, number, position, trained, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        call_at(patched.setattr, name, number, end_by("TERM"))
        with pytest.raises(SystemExit) as ended:
            train_in(tmp_path)
    assert not ended.value.code
    found = checkpoint.newest_checkpoint(tmp_path).position
    assert (found.epoch, found.step) == position
    model, history = train_in(tmp_path)
    assert_same_training(tmp_path, trained)
    assert history.epoch[-1] == EPOCHS - 1
    for a, b in zip(model.get_weights(), trained[1].get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_vanished_file_is_named_and_the_last_checkpoint_stays(trained, tmp_path):
    with pytest.raises(DataError, match=r"^Image 'street_6\.png' does not exist\.$"):
        train_in(tmp_path, lambda first_step: stream(first_step, broken_step=6))
    found = checkpoint.newest_checkpoint(tmp_path).position
    assert found.global_step == STEPS
    train_in(tmp_path)
    assert_same_training(tmp_path, trained)


@pytest.mark.slow
def test_full_disk(trained, tmp_path, monkeypatch):
    """The second checkpoint of three is written in part."""
    original, calls = np.savez, []

    def save(file, *arrays):
        calls.append(1)
        if len(calls) == 2:
            file.write(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        original(file, *arrays)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.np, "savez", save)
        with pytest.raises(OSError, match="is full") as error:
            train_in(tmp_path)
    line = str(error.value)
    assert str(tmp_path) in line
    assert "step_00000004 is whole" in line
    assert "\n" not in line
    names = [path.name for path in (tmp_path / "checkpoints").iterdir()]
    assert names == ["step_00000004"]
    train_in(tmp_path)
    assert_same_training(tmp_path, trained)


def test_finished_training_is_left_as_it_is(trained):
    folder, _, _ = trained
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    again, history = train_in(folder)
    assert history.epoch == []
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    # The weights of the last step, not their average.
    arrays = checkpoint.newest_checkpoint(folder).variables
    for a, b in zip(variables.gather(again), arrays, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("model", "data", "match"),
    [
        (lambda: make_model(filters=8), stream, "another network or optimizer"),
        (lambda: make_model(average=False), stream, "another network or optimizer"),
        (make_model, VALIDATION, "has 4 steps in an epoch and the data have 3"),
    ],
    ids=["network", "optimizer", "data"],
)
def test_another_training_is_refused(model, data, match, trained):
    with pytest.raises(ValueError, match=match) as error:
        train_in(trained[0], data, model())
    assert str(trained[0]) in str(error.value)


@pytest.mark.slow
def test_dataset_of_one_epoch_goes_on_too(trained, tmp_path, monkeypatch):
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(2)
    with monkeypatch.context() as patched:
        call_at(patched.setattr, "on_train_batch_end", 7, _interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_in(tmp_path, pairs, checkpoint_minutes=0.0)
    train_in(tmp_path, pairs)
    assert_same_training(tmp_path, trained)


def _interrupt():
    raise KeyboardInterrupt


@pytest.mark.slow
def test_several_steps_in_one_execution(trained, tmp_path, monkeypatch):
    def model():
        model = make_model()
        model.steps_per_execution = 2
        return model

    with monkeypatch.context() as patched:
        call_at(patched.setattr, "on_train_batch_end", 4, _interrupt)
        with pytest.raises(KeyboardInterrupt):
            train_in(tmp_path, model=model(), checkpoint_minutes=0.0)
    assert checkpoint.newest_checkpoint(tmp_path).position.global_step == 6
    train_in(tmp_path, model=model())
    assert_same_training(tmp_path, trained)


def test_steps_per_execution_that_do_not_fit(tmp_path):
    model = make_model()
    model.steps_per_execution = 3
    with pytest.raises(ValueError, match="3 steps per execution do not divide the 4"):
        train_in(tmp_path, model=model)


@pytest.mark.slow
def test_worker_that_is_not_the_chief_writes_nothing(trained, tmp_path):
    second = Distribution(tf.distribute.get_strategy(), worker=1, workers=2)
    model, _ = train_in(tmp_path, spread=second)
    assert list(tmp_path.iterdir()) == []
    for a, b in zip(model.get_weights(), trained[1].get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_everything_a_step_changes_is_kept():
    model = make_model()
    variables.build_for_training(model)
    before = variables.gather(model)
    model.train_on_batch(IMAGES[:2], LABELS[:2])
    after = variables.gather(model)
    changed = {
        variable.path.rpartition("/")[2]
        for variable, a, b in zip(
            variables._variables(model), before, after, strict=True
        )
        if not np.array_equal(a, b)
    }
    expected = {"kernel", "bias", "iteration", "counts", "total", "count"}
    assert expected | {"seed_generator_state"} <= changed
    assert any(name.endswith("_momentum") for name in changed)
    assert any(name.endswith("_average") for name in changed)
    variables.restore(model, before, "it")
    for a, b in zip(variables.gather(model), before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_averaged_weights_come_back_bit_by_bit():
    model, average = make_model(), AveragedWeights()
    for _ in range(2):
        model.train_on_batch(IMAGES[:2], LABELS[:2])
    average.set_model(model)
    before = variables.gather(model)
    with average.swapped():
        assert not np.array_equal(variables.gather(model)[0], before[0])
    average.on_test_begin()
    average.on_test_end()
    for a, b in zip(variables.gather(model), before, strict=True):
        np.testing.assert_array_equal(a, b)


# === Checkpoints ===


def write(run, *steps):
    """Write checkpoints whose array holds their step; return their folders."""
    return [
        checkpoint.write_checkpoint(
            run, [np.full(100, step), np.ones(())], Position(1, step, 20)
        )
        for step in steps
    ]


def names_in(run):
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def test_the_newest_two_are_kept(tmp_path):
    write(tmp_path, 3, 5, 9)
    assert names_in(tmp_path) == ["step_00000025", "step_00000029"]
    found = checkpoint.newest_checkpoint(tmp_path)
    assert found.position == Position(1, 9, 20)
    np.testing.assert_array_equal(found.variables[0], np.full(100, 9))
    assert found.variables[1].shape == ()


def test_no_checkpoint(tmp_path):
    assert checkpoint.newest_checkpoint(tmp_path) is None
    assert checkpoint.newest_checkpoint(tmp_path / "gone") is None
    assert checkpoint.newest_position(tmp_path) is None
    assert not checkpoint.has_checkpoint(tmp_path)


def test_one_of_the_same_step_is_replaced(tmp_path):
    write(tmp_path, 3, 5)
    checkpoint.write_checkpoint(tmp_path, [], Position(1, 5, 20, finished=True))
    assert names_in(tmp_path) == ["step_00000023", "step_00000025"]
    assert checkpoint.newest_checkpoint(tmp_path).position.finished


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)


def fill(text):
    return lambda path: path.write_text(text)


DAMAGE = {
    "cut variables": ("variables.npz", cut),
    "flipped bit": ("variables.npz", flip),
    "empty variables": ("variables.npz", fill("")),
    "no variables": ("variables.npz", Path.unlink),
    "cut state": ("state.json", cut),
    "no state": ("state.json", Path.unlink),
    "a list": ("state.json", fill("[]")),
    "deep": ("state.json", fill("[" * 100_000)),
    "unknown name": ("state.json", fill('{"steps": 3}')),
    "negative": ("state.json", fill('{"epoch": -1}')),
    "text for a number": ("state.json", fill('{"epoch": "1"}')),
    "too many steps": ("state.json", fill('{"step": 3, "steps_per_epoch": 2}')),
    "no log": ("state.json", fill('{"log": 3}')),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_newest_falls_back_to_the_one_before(name, tmp_path):
    file, damage = DAMAGE[name]
    _, newest = write(tmp_path, 3, 5)
    damage(newest / file)
    with pytest.warns(UserWarning, match="is damaged .* the one before") as warned:
        found = checkpoint.newest_checkpoint(tmp_path)
    assert str(newest) in str(warned[0].message)
    assert "\n" not in str(warned[0].message)
    assert found.position.step == 3
    # Then the training goes on, and what is damaged does not take a place.
    write(tmp_path, 4)
    assert names_in(tmp_path) == ["step_00000023", "step_00000024"]


def test_no_checkpoint_is_whole(tmp_path):
    for path in write(tmp_path, 3, 5):
        cut(path / "variables.npz")
    with (
        pytest.warns(UserWarning, match="is damaged"),
        pytest.raises(ValueError, match=r"no checkpoint of .* is whole") as error,
    ):
        checkpoint.newest_checkpoint(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_what_a_killed_process_was_writing_is_no_checkpoint(tmp_path):
    write(tmp_path, 3)
    unfinished = tmp_path / "checkpoints" / ".0123"
    unfinished.mkdir()
    (unfinished / "variables.npz").write_bytes(b"half")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert checkpoint.newest_checkpoint(tmp_path).position.step == 3
    write(tmp_path, 5)
    assert names_in(tmp_path) == ["step_00000023", "step_00000025"]


# === Run folders ===


def open_run(folder, resume=True, **config):
    config = {"command": "train", "preset": {"epochs": 3}, "crop": (32, 48), **config}
    with run_folder.new_run(folder, config, CITYSCAPES, resume):
        write(folder, 3)


def test_run_of_the_same_settings_is_opened_again(tmp_path):
    open_run(tmp_path / "run", data="/here")
    before = (tmp_path / "run" / "config.json").read_bytes()
    open_run(tmp_path / "run", data="/there")
    open_run(tmp_path / "run", data="/here", effective_batch=8)  # which is newer
    assert (tmp_path / "run" / "config.json").read_bytes() == before
    with pytest.raises(ValueError, match="is not empty"):
        open_run(tmp_path / "run", resume=False, data="/here")


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"crop": (32, 64)}, r"crop \[32, 48\], not \[32, 64\]"),
        ({"preset": {"epochs": 4}}, "preset.epochs 3, not 4"),
        ({"weights": "a.keras"}, "weights None, not a.keras"),
        ({"command": "quantize"}, "command train, not quantize"),
    ],
    ids=["crop", "epochs", "weights", "command"],
)
def test_another_setting_is_named(changed, match, tmp_path):
    open_run(tmp_path)
    with pytest.raises(ValueError, match=match) as error:
        open_run(tmp_path, **changed)
    assert str(tmp_path) in str(error.value)


def test_run_that_was_killed_before_its_first_checkpoint_begins_again(tmp_path):
    open_run(tmp_path)
    for path in (tmp_path / "checkpoints").iterdir():
        shutil.rmtree(path)
    open_run(tmp_path)
    (tmp_path / "last.keras").write_bytes(b"of an older version")
    shutil.rmtree(tmp_path / "checkpoints")
    with pytest.raises(ValueError, match="is not empty"):
        open_run(tmp_path)


def test_failure_leaves_an_opened_run(tmp_path):
    open_run(tmp_path)
    shutil.rmtree(tmp_path / "checkpoints")
    config = {"command": "train", "preset": {"epochs": 3}, "crop": (32, 48)}
    with (
        pytest.raises(KeyboardInterrupt),
        run_folder.new_run(tmp_path, config, CITYSCAPES, resume=True),
    ):
        raise KeyboardInterrupt
    assert (tmp_path / "config.json").is_file()


# === The command ===


@pytest.fixture(scope="module")
def interrupted(camvid, tmp_path_factory):  # noqa: F811
    """The run folder of a command that was interrupted in its second epoch."""
    folder = tmp_path_factory.mktemp("runs") / "camvid"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("keras_frm.models.build.build_model", quick_model)
        call_at(patched.setattr, "on_train_batch_begin", 4, end_by("TERM"))
        with pytest.raises(SystemExit):
            keras_frm(
                *("train", "--preset", "camvid", "--data", camvid, "--out", folder),
                *(*SMALL, "--epochs", 3, "--seed", 3, "--weight-ema", 0.5),
                *("--accumulate", 2, "--checkpoint-every", 0),
            )
    return folder


def quick_model(chosen, **_):
    return toy_model(chosen.labels.num_classes, preset=chosen)


@pytest.fixture
def copy(interrupted, tmp_path, monkeypatch):
    """A copy of the interrupted run, to go on in with a network that is quick."""
    monkeypatch.setattr("keras_frm.models.build.build_model", quick_model)
    return shutil.copytree(interrupted, tmp_path / "run")


def test_command_goes_on_with_the_options_it_was_started_with(copy):
    assert checkpoint.newest_position(copy).global_step == 4
    assert json.loads((copy / "config.json").read_text())["effective_batch"] == 4
    done = keras_frm("train", "--out", copy)
    assert done.code == 0, done.err
    assert "going on from" in done.err
    assert "2 of 2 steps of epoch 2 are done" in done.err
    assert "effective batch: 4 images (2 in a step" in done.out
    assert [row[0] for row in rows(copy)] == [0, 1, 2]
    before = (copy / "log.csv").stat().st_mtime_ns
    done = keras_frm("train", "--out", copy)
    assert (done.code, done.err) == (0, "")
    assert f"{copy} is finished after 3 epochs; the best mean IoU was" in done.out
    assert (copy / "log.csv").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (("--epochs", 4), "preset.epochs 3, not 4"),
        (("--learning-rate", 0.5), "preset.recipe.learning_rate 0.001, not 0.5"),
        (("--crop", 32, 32), r"preset.crop \[32, 48\], not \[32, 32\]"),
        (("--accumulate", 3), "accumulate 2, not 3"),
        (("--weight-ema", 0.9), "preset.recipe.weight_ema 0.5, not 0.9"),
        (("--preset", "synthetic"), "not"),
        (("--fresh",), "is not empty"),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, tuple) else "",
)
def test_command_names_another_setting(options, match, copy):
    line = keras_frm("train", "--out", copy, *options).only_line
    assert re.search(match, line)
    assert str(copy) in line


@pytest.mark.parametrize("value", ["-1", "nan", "inf"])
@pytest.mark.parametrize(
    "option", ["--learning-rate", "--contrastive-weight", "--checkpoint-every"]
)
def test_command_refuses_what_is_no_rate(option, value):
    assert "0 or more" in keras_frm("train", option, value).only_line


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ("[3]", "is damaged|is not empty"),
        ('{"command": "train", "options": [3]}', "was started with"),
        ('{"command": "train", "options": {"epochs": "many"}}', "--epochs"),
        ('{"command": "train", "options": {"crop": [1]}}', "--crop"),
    ],
    ids=range(4),
)
def test_command_with_damaged_options(options, match, copy):
    (copy / "config.json").write_text(options)
    assert re.search(match, keras_frm("train", "--out", copy).line)
