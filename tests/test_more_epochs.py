"""A finished training that gets more epochs, and what a finished one refuses."""

import csv
import json
import shutil

import numpy as np
import pytest
from counted_calls import call_at, end_by
from test_cli import SMALL, camvid, keras_frm  # noqa: F401
from tiny import toy_model

from keras_frm.training import checkpoint
from keras_frm.training.extension import (
    Extension,
    extend,
    is_finished,
    keep_extension,
    newest_extension,
)
from keras_frm.training.position import Position

RATE = 1e-3  # of the preset camvid


def quick_model(chosen, **_):
    return toy_model(chosen.labels.num_classes, preset=chosen)


@pytest.fixture(scope="module")
def finished(camvid, tmp_path_factory):  # noqa: F811
    """The run folder of a training of one epoch with two steps."""
    folder = tmp_path_factory.mktemp("runs") / "camvid"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("keras_frm.models.build.build_model", quick_model)
        done = keras_frm(
            *("train", "--preset", "camvid", "--data", camvid, "--out", folder),
            *(*SMALL, "--weight-ema", 0.5),
        )
    assert done.code == 0, done.err
    return folder


@pytest.fixture
def run(finished, tmp_path, monkeypatch):
    monkeypatch.setattr("keras_frm.models.build.build_model", quick_model)
    return shutil.copytree(finished, tmp_path / "run")


def log(folder, column):
    with open(folder / "log.csv", newline="") as file:
        return [float(row[column]) for row in csv.DictReader(file)]


def test_a_finished_run_goes_on_with_a_new_schedule(run):
    first = log(run, "loss")
    done = keras_frm("train", "--out", run, "--more-epochs", 2)
    assert done.code == 0, done.err
    assert log(run, "epoch") == [0, 1, 2]
    assert log(run, "loss")[0] == first[0]
    # A tenth of the preset's rate falls over four steps, without a warm-up.
    rates = [RATE / 10 * left**0.9 for left in (0.5, 0.0)]
    np.testing.assert_allclose(log(run, "learning_rate")[1:], rates, atol=1e-9)
    position = checkpoint.newest_position(run)
    assert (position.epoch, position.global_step, position.finished) == (3, 6, True)
    assert position.best >= log(run, "val_mean_iou")[0]
    done = keras_frm("train", "--out", run)
    assert f"{run} is finished after 3 epochs" in done.out
    assert "--more-epochs" in done.out


@pytest.mark.slow
def test_killed_in_between_it_goes_on_by_the_same_command(run, tmp_path, monkeypatch):
    command = ("--more-epochs", 2, "--learning-rate", 0.01)
    whole = shutil.copytree(run, tmp_path / "whole")
    assert keras_frm("train", "--out", whole, *command).code == 0
    with monkeypatch.context() as patched:
        call_at(patched.setattr, "on_train_batch_begin", 2, end_by("TERM"))
        with pytest.raises(SystemExit):
            keras_frm("train", "--out", run, *command)
    assert not checkpoint.newest_position(run).finished
    line = keras_frm("train", "--out", run, "--more-epochs", 7).only_line
    assert "has begun 2 more epochs at a learning rate of 0.01" in line
    assert keras_frm("train", "--out", run, *command).code == 0
    assert log(run, "epoch") == [0, 1, 2]
    for column in ("learning_rate", "loss", "val_mean_iou"):
        np.testing.assert_allclose(log(run, column), log(whole, column), rtol=1e-4)
    assert log(run, "learning_rate")[1] == pytest.approx(0.01 * 0.5**0.9)


@pytest.mark.parametrize(
    "option", [("--epochs", 3), ("--learning-rate", 0.5), ("--batch-size", 1)]
)
def test_another_setting_of_a_finished_run_is_refused_with_a_way(option, run):
    line = keras_frm("train", "--out", run, *option).only_line
    assert "was started with" in line
    assert "another run folder with --out to start again, which can begin with " in line
    assert f"--weights {run}" in line
    assert ("--more-epochs N" in line) == (option[0] == "--epochs")


def test_a_run_folder_is_taken_for_its_weights(finished, camvid, tmp_path, monkeypatch):  # noqa: F811
    taken = []

    def build(chosen, weights, **_):
        taken.append(weights)
        return quick_model(chosen)

    monkeypatch.setattr("keras_frm.models.build.build_model", build)
    command = ("train", "--preset", "camvid", "--data", camvid, *SMALL)
    out = ("--out", tmp_path / "run")
    assert keras_frm(*command, *out, "--weights", finished).code == 0
    assert taken == [finished / "best.keras"]
    line = keras_frm(*command, "--out", tmp_path / "b", "--weights", tmp_path).line
    assert "is no run folder" in line


# === What a run folder keeps of it ===


def write(folder, epoch, finished=True):
    position = Position(epoch, steps_per_epoch=10, finished=finished)
    checkpoint.write_checkpoint(folder, [], position)
    if not (folder / "config.json").is_file():
        (folder / "config.json").write_text('{"command": "train"}')


def test_each_finished_extension_can_have_another(tmp_path):
    write(tmp_path, 5)
    first = extend(tmp_path, 3, None, 0.01)
    assert first == Extension(5, 3, pytest.approx(0.001))
    keep_extension(tmp_path, first)
    keep_extension(tmp_path, first)  # which another worker may have done
    assert extend(tmp_path, 3, None, 0.01) == first  # killed before its first step
    write(tmp_path, 8)
    second = extend(tmp_path, 2, 0.5, 0.01)
    assert second == Extension(8, 2, 0.5)
    keep_extension(tmp_path, second)
    assert newest_extension(tmp_path) == second
    kept = json.loads((tmp_path / "config.json").read_text())["extensions"]
    assert [each["first_epoch"] for each in kept] == [5, 8]


def test_only_a_finished_training_gets_more_epochs(tmp_path):
    with pytest.raises(ValueError, match="holds no finished training"):
        extend(tmp_path, 3, None, 0.01)
    write(tmp_path, 2, finished=False)
    with pytest.raises(ValueError, match="holds no finished training"):
        extend(tmp_path, 3, None, 0.01)


def test_an_extension_that_patience_ended_is_finished(tmp_path):
    write(tmp_path, 5)
    keep_extension(tmp_path, Extension(5, 10, 0.001))
    ended = Position(epoch=7, finished=True)
    assert is_finished(ended, newest_extension(tmp_path))


@pytest.mark.parametrize("kept", ["[3]", '[{"epochs": 2}]', '{"a": 1}', "7"])
def test_damaged_extensions(kept, tmp_path):
    (tmp_path / "config.json").write_text(f'{{"extensions": {kept}}}')
    with pytest.raises(ValueError, match=r"config\.json is damaged"):
        newest_extension(tmp_path)
