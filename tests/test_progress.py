"""What a training shows while it runs: its line, and TensorBoard."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from keras_frm.labels import numbered_labels
from keras_frm.metrics import MeanIoU
from keras_frm.training import progress_callback as module
from keras_frm.training.board import Board
from keras_frm.training.position import Position
from keras_frm.training.progress_callback import TrainingProgress, describe

LOGS = {"loss": 1.5, "cross_entropy": 1.25, "contrastive": 0.25, "mean_iou": 0.5}


@pytest.fixture
def now(monkeypatch):
    """Seconds that the clock of the line shows."""
    clock = {"now": 100.0}
    monkeypatch.setattr(module.time, "monotonic", lambda: clock["now"])
    return clock


def begun(position, batch_size=4, epochs=3):
    """Return a line at the begin of the first epoch."""
    line = TrainingProgress(batch_size, position)
    line.set_params({"epochs": epochs, "steps": position.steps_per_epoch})
    optimizer = SimpleNamespace(learning_rate=np.float32(0.01))
    line.set_model(SimpleNamespace(optimizer=optimizer))
    line.on_train_begin()
    line.on_epoch_begin(position.epoch)
    return line


def test_line_shows_losses_rates_and_speed(now):
    line = begun(Position(steps_per_epoch=10))
    line.on_train_batch_end(0, LOGS)
    now["now"] += 2
    line.on_train_batch_end(5, LOGS)
    (task,) = line.progress.tasks
    assert task.fields["losses"] == (
        "loss 1.5  cross_entropy 1.25  contrastive 0.25  mean_iou 0.5  "
        "lr 0.01  images/s 10"
    )
    assert (task.completed, task.total) == (6, 30)
    assert task.description == "epoch 1/3"


def test_speed_leaves_out_the_first_step_and_the_validation(now):
    line = begun(Position(steps_per_epoch=10))
    now["now"] += 500  # builds the graph
    line.on_train_batch_end(0, LOGS)
    now["now"] += 1
    line.on_train_batch_end(1, LOGS)
    assert line.progress.tasks[0].fields["losses"].endswith("images/s 4")
    now["now"] += 500  # validates
    line.on_epoch_begin(1)
    line.on_train_batch_end(0, LOGS)
    now["now"] += 1
    line.on_train_batch_end(2, LOGS)
    assert line.progress.tasks[0].fields["losses"].endswith("images/s 8")


def test_line_is_not_drawn_after_every_step(now):
    line = begun(Position(steps_per_epoch=10))
    line.on_train_batch_end(0, LOGS)
    now["now"] += 0.1
    line.on_train_batch_end(1, {"loss": 9.0})
    assert line.progress.tasks[0].fields["losses"].startswith("loss 1.5")


def test_batch_of_unknown_size_has_no_speed(now):
    line = begun(Position(steps_per_epoch=10), batch_size=None)
    line.on_train_batch_end(0, LOGS)
    now["now"] += 2
    line.on_train_batch_end(5, LOGS)
    assert line.progress.tasks[0].fields["losses"].endswith("lr 0.01")


def test_resumed_training_counts_what_was_done(now):
    line = begun(Position(epoch=1, step=4, steps_per_epoch=10))
    assert line.progress.tasks[0].completed == 14
    line.on_train_batch_end(0, LOGS)
    assert line.progress.tasks[0].completed == 15
    line.on_epoch_end(1, LOGS)
    assert line.progress.tasks[0].completed == 20
    line.on_epoch_begin(2)
    line.on_train_batch_end(0, LOGS)
    assert line.progress.tasks[0].completed == 21


def test_epoch_leaves_a_line(now, capsys):
    begun(Position(steps_per_epoch=10)).on_epoch_end(0, {"loss": 0.125, "val": 1})
    assert capsys.readouterr().err.strip() == "epoch 1: loss 0.125  val 1"


def test_describe():
    assert describe(None) == ""
    assert describe({"b": 2.0, "a": 1.0}) == "b 2  a 1"
    assert describe({"b": 2.0}, ("a", "b")) == "b 2"


# === TensorBoard ===

NAMES = numbered_labels(3)


def show(folder, epoch, logs, drawn=(), wrong=False):
    """Write an epoch as a training of its own; a resumed one does so."""
    metric = MeanIoU(3)
    labels = np.array([[[0, 0, 1, 7 if wrong else 255]]], np.uint8)
    metric.update_state(labels, np.array([[[0, 1, 1, 1]]], np.uint8))
    board = Board(folder, NAMES, SimpleNamespace(drawn={epoch: list(drawn)}))
    board.set_model(SimpleNamespace(metrics=[SimpleNamespace(metrics=[metric])]))
    board.on_train_begin()
    board.on_test_end()
    board.on_epoch_end(epoch, logs)
    board.on_train_end()


def read(folder):
    """Return what TensorBoard reads: name -> [(epoch, value)], and pictures."""
    sizes = {"tensors": 0, "images": 0}
    # Files of one second are read in the order of their names, ".10" before ".9".
    found = EventAccumulator(str(folder), sizes, purge_orphaned_data=False)
    found.Reload()
    names = found.Tags()["tensors"]
    return {name: sorted(found.Tensors(name), key=lambda e: e.step) for name in names}


def scalars(folder):
    return {
        name: [(e.step, float(tf.make_ndarray(e.tensor_proto))) for e in events]
        for name, events in read(folder).items()
        if "image" not in name
    }


def test_curves_of_training_and_validation_share_their_names(tmp_path):
    show(tmp_path, 0, {"loss": 2.0, "val_loss": 3.0, "val_mean_iou": 0.25})
    show(tmp_path, 1, {"loss": 1.0, "val_loss": 4.0, "val_mean_iou": 0.5})
    assert scalars(tmp_path / "train") == {"loss": [(0, 2.0), (1, 1.0)]}
    validation = scalars(tmp_path / "validation")
    assert validation["loss"] == [(0, 3.0), (1, 4.0)]
    assert validation["mean_iou"] == [(0, 0.25), (1, 0.5)]


def test_iou_of_the_classes_that_were_there(tmp_path):
    show(tmp_path, 3, {"loss": 2.0})
    validation = scalars(tmp_path / "validation")
    first, second, _ = NAMES.classes
    assert validation == {f"iou/{first}": [(3, 0.5)], f"iou/{second}": [(3, 0.5)]}


def test_wrong_labels_have_no_iou(tmp_path):
    show(tmp_path, 3, {"loss": 2.0}, wrong=True)
    assert scalars(tmp_path / "validation") == {}


def test_pictures(tmp_path):
    pictures = [np.full((20, 3000, 3), 90, np.uint8), np.zeros((10, 30, 3), np.uint8)]
    show(tmp_path, 5, {"loss": 2.0}, pictures)
    found = read(tmp_path / "validation")
    large, small = (found[f"image, label, prediction/{i}"] for i in range(2))
    assert (large[0].step, small[0].step) == (5, 5)
    # Width, height and the PNG.
    assert [int(v) for v in large[0].tensor_proto.string_val[:2]] == [1536, 10]
    assert [int(v) for v in small[0].tensor_proto.string_val[:2]] == [30, 10]
    assert small[0].tensor_proto.string_val[2].startswith(b"\x89PNG")
