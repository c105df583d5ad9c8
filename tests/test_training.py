"""A training's run folder: what it holds, and that it survives what may happen."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from tiny import batch, toy_model

from keras_frm import load_dataset
from keras_frm.labels import CAMVID, CITYSCAPES, numbered_labels
from keras_frm.training import run_folder
from keras_frm.training.best import BestAndLast
from keras_frm.training.train import train

SIZE = (64, 128)

# Trains far longer than the test waits. Arguments: run folder, command line or not.
_LONG_TRAINING = """
import signal
import sys
from pathlib import Path
from test_training import make_model, scenes
from keras_frm.cli import app, main
from keras_frm.labels import CITYSCAPES
from keras_frm.training.train import train
# A job in the background of a shell starts with SIGINT ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
def long_training():
    train(make_model(), *scenes(), Path(sys.argv[1]), CITYSCAPES, epochs=100_000)
app.app = lambda **_: long_training()
main()
"""


def scenes():
    """Return training and validation data of four and two small scenes."""
    options = {"resize": SIZE, "crop": SIZE, "batch_size": 2}
    return (
        load_dataset("synthetic", split="train", count=4, **options),
        load_dataset("synthetic", split="val", count=2, **options),
    )


def make_model():
    model = toy_model(19, preset="synthetic")
    model.compile()
    return model


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A model trained for two epochs, its run folder and its history."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    config = {"command": "train", "resize": SIZE, "seed": 3}
    model = make_model()
    with run_folder.new_run(folder, config, CITYSCAPES) as folder:
        history = train(model, *scenes(), folder, CITYSCAPES, epochs=2)
    return model, folder, history.history


# === What a run leaves behind ===


def test_files(run):
    _, folder, _ = run
    assert sorted(path.name for path in folder.iterdir()) == [
        "best.keras",
        "checkpoints",
        "config.json",
        "curves.png",
        "last.keras",
        "log.csv",
        "samples",
        "tensorboard",
    ]
    assert [p.name for p in (folder / "samples").iterdir()] == [
        "epoch_0001.png",
        "epoch_0002.png",
    ]
    events = {p.parent.name for p in folder.glob("tensorboard/*/events.out.tfevents.*")}
    assert events == {"train", "validation"}


def test_config(run):
    content = json.loads((run[1] / "config.json").read_text())
    assert (content["command"], content["resize"]) == ("train", list(SIZE))
    labels = run_folder.load_labels(run[1])
    assert labels.classes == CITYSCAPES.classes
    assert labels.palette == CITYSCAPES.palette
    assert labels.ignore_label == 255


def test_log_is_the_history(run):
    _, folder, history = run
    with open(folder / "log.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert set(rows[0]) == {"epoch", *history}
    assert {"loss", "contrastive", "learning_rate", "val_mean_iou"} <= set(rows[0])
    for name, values in history.items():
        np.testing.assert_allclose([float(row[name]) for row in rows], values)
    # Planned over the two epochs of two steps; the log's is the one after each.
    assert float(rows[1]["learning_rate"]) == pytest.approx(0, abs=1e-9)
    assert float(rows[0]["learning_rate"]) > 0


def test_pictures(run):
    with Image.open(run[1] / "curves.png") as curves:
        assert curves.size == (1200, 360)
        assert len(set(curves.convert("RGB").getdata())) > 20
    with Image.open(run[1] / "samples" / "epoch_0002.png") as samples:
        assert samples.width > 2 * SIZE[1]
        assert samples.height > 2 * SIZE[0]
        assert len(set(samples.convert("RGB").getdata())) > 20


def test_last_holds_the_training_state_and_best_the_network(run):
    model, folder, history = run
    last = keras.saving.load_model(folder / "last.keras", safe_mode=True)
    assert int(last.optimizer.iterations) == 4
    for left, right in zip(last.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    best, labels = run_folder.load_trained(folder)
    assert labels.name == "cityscapes"
    assert len(best.weights) == len(model.network.weights)
    evaluated = toy_model(19, preset="synthetic")
    evaluated.network.set_weights(best.get_weights())
    evaluated.compile()
    result = evaluated.evaluate(scenes()[1], verbose=0, return_dict=True)
    assert result["mean_iou"] == pytest.approx(max(history["val_mean_iou"]))


# === Run folders ===


def test_folder_that_is_not_empty_is_refused(tmp_path):
    for name, content in (("full", "mine"), ("file", None)):
        path = tmp_path / name
        if content is None:
            path.write_text("mine")
        else:
            path.mkdir()
            (path / "notes.txt").write_text(content)
        with (
            pytest.raises(ValueError, match="not empty") as error,
            run_folder.new_run(path, {}, CAMVID),
        ):
            pass
        assert str(path) in str(error.value)
    assert (tmp_path / "full" / "notes.txt").read_text() == "mine"
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["notes.txt"]


def test_empty_and_new_folders_are_taken(tmp_path):
    with run_folder.new_run(tmp_path, {}, CAMVID):
        pass
    with run_folder.new_run(tmp_path / "a" / "b", {"x": 1}, CAMVID) as deep:
        assert run_folder.load_labels(deep).classes == CAMVID.classes


@pytest.mark.parametrize("checkpoint", [False, True])
def test_failed_run_stays_only_with_a_checkpoint(tmp_path, checkpoint):
    def interrupted():
        with run_folder.new_run(tmp_path / "run", {}, CAMVID) as folder:
            if checkpoint:
                (folder / run_folder.LAST).write_bytes(b"weights")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (tmp_path / "run").exists() == checkpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"labels": 3}',
        '{"labels": {"name": "x", "classes": 3, "palette": [], "ignore_label": 0}}',
        '{"labels": {"name": "x", "classes": ["a"], "palette": [], "ignore_label": 0}}',
        '{"labels": {"name": "x", "classes": ["a"], "palette": [[1, 2]], '
        '"ignore_label": 0}}',
        '{"labels": {"name": "x", "classes": ["a"], "palette": [[1, 2, 999]], '
        '"ignore_label": 0}}',
        '{"labels": {"name": "x", "classes": [], "palette": [], '
        '"ignore_label": Infinity}}',
        "[" * 100_000,
        "\ufeff{}",
    ],
    ids=range(12),
)
def test_damaged_config(text, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="is damaged") as error:
        run_folder.load_labels(tmp_path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is damaged"):
        run_folder.load_labels(tmp_path)


def test_load_trained_says_what_is_missing(run, tmp_path):
    _, folder, _ = run
    with pytest.raises(FileNotFoundError, match=r"no best\.keras"):
        run_folder.load_trained(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"gone\.keras"):
        run_folder.load_trained(tmp_path / "gone.keras")
    alone = tmp_path / "alone.keras"
    alone.write_bytes((folder / "best.keras").read_bytes())
    assert run_folder.load_trained(alone)[1] == numbered_labels(19)
    network, labels = run_folder.load_trained(alone, CITYSCAPES)
    assert (network.output.shape[-1], labels) == (19, CITYSCAPES)
    with pytest.raises(ValueError, match=r"19 classes .* 'camvid' has 11"):
        run_folder.load_trained(alone, CAMVID)


def test_a_model_alone_knows_the_classes_of_its_preset(tmp_path):
    path = tmp_path / "alone.keras"
    toy_model(11, preset="camvid").save(path)
    assert run_folder.load_trained(path)[1] == CAMVID
    toy_model(3, preset="camvid").save(path)  # of other classes than its preset
    assert run_folder.load_trained(path)[1] == numbered_labels(3)


def test_last_is_taken_where_there_is_no_best(run, tmp_path):
    for name in ("config.json", "last.keras"):
        (tmp_path / name).write_bytes((run[1] / name).read_bytes())
    network, _ = run_folder.load_trained(tmp_path)
    images, _ = batch()
    np.testing.assert_array_equal(network(images), run[0].network(images))


# === Best, last, and failures while saving ===


def epochs_of(folder, values, model=None):
    """Run a checkpoint over epochs whose bias and monitored value are given."""
    checkpoint = BestAndLast(folder)
    checkpoint.set_model(model or toy_model())
    for epoch, value in enumerate(values):
        checkpoint.model.network.weights[-1].assign(np.full(3, epoch, "float32"))
        checkpoint.on_epoch_end(epoch, {"val_mean_iou": value})
    return checkpoint


def last_bias(path):
    model = keras.saving.load_model(path, compile=False)
    return getattr(model, "network", model).get_weights()[-1].tolist()


def test_best_is_the_highest_and_the_first_of_equals(tmp_path):
    checkpoint = epochs_of(tmp_path, [0.1, 0.4, 0.2, 0.4, 0.3])
    assert (checkpoint.best, checkpoint.best_epoch) == (0.4, 1)
    assert last_bias(tmp_path / "best.keras") == [1, 1, 1]
    assert last_bias(tmp_path / "last.keras") == [4, 4, 4]


def test_nan_is_never_the_best(tmp_path):
    checkpoint = epochs_of(tmp_path, [float("nan"), 0.0, float("nan")])
    assert checkpoint.best_epoch == 1
    assert last_bias(tmp_path / "best.keras") == [1, 1, 1]


def test_without_validation_there_is_a_last_only(tmp_path):
    checkpoint = BestAndLast(tmp_path)
    checkpoint.set_model(toy_model())
    checkpoint.on_epoch_end(0, {"loss": 1.0})
    assert [path.name for path in tmp_path.iterdir()] == ["last.keras"]


def test_failure_while_saving_leaves_the_old_file(tmp_path, monkeypatch):
    model = toy_model()
    epochs_of(tmp_path, [0.5], model)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def save_half(self, path, **_):
        Path(path).write_bytes(before["last.keras"][:500])
        raise OSError("No space left on device")

    monkeypatch.setattr(type(model), "save", save_half)
    with pytest.raises(OSError, match="No space left"):
        epochs_of(tmp_path, [0.6], model)
    after = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert after == before  # no temporary file, either
    assert last_bias(tmp_path / "last.keras") == [0, 0, 0]


# === Interruption ===


def test_terminal_is_given_back_after_an_error(tmp_path, monkeypatch, capsys):
    from keras_frm.training import train as module

    made = []
    original = module.TrainingProgress

    def progress(*arguments):
        made.append(original(*arguments))
        return made[-1]

    monkeypatch.setattr(module, "TrainingProgress", progress)
    model = make_model()

    def fail(*_, **__):
        assert made[-1].progress.live.is_started
        raise KeyboardInterrupt

    monkeypatch.setattr(type(model), "fit", fail)
    with pytest.raises(KeyboardInterrupt):
        train(model, *scenes(), tmp_path, CITYSCAPES, epochs=1)
    assert not made[-1].progress.live.is_started


def start_long_training(folder):
    """Start a training in a process and wait for its first checkpoint."""
    process = subprocess.Popen(
        [sys.executable, "-c", _LONG_TRAINING, str(folder)],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 300
    while not (folder / "best.keras").exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(2.0)  # in the middle of one of many epochs
    return process


@pytest.mark.slow
def test_killed_training_leaves_a_readable_checkpoint(tmp_path):
    process = start_long_training(tmp_path)
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    last = keras.saving.load_model(tmp_path / "last.keras", safe_mode=True)
    assert int(last.optimizer.iterations) >= 2
    assert all(np.isfinite(weight).all() for weight in last.get_weights())
    keras.saving.load_model(tmp_path / "best.keras", safe_mode=True)


@pytest.mark.slow
def test_interrupted_training_ends_without_a_stack_trace(tmp_path):
    process = start_long_training(tmp_path)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert stderr.rstrip().endswith("keras-frm: interrupted")
    keras.saving.load_model(tmp_path / "last.keras", safe_mode=True)
