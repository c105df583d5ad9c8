"""What ends a training before its last epoch: signals, losses, no progress."""

import csv
import math
import os
import signal
import threading
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import batch, toy_model

from keras_frm.labels import numbered_labels
from keras_frm.losses import CrossEntropy
from keras_frm.metrics import MeanIoU
from keras_frm.training import checkpoint
from keras_frm.training.early_stop import EarlyStop
from keras_frm.training.position import Position
from keras_frm.training.stop import StopOnNonFinite, StopSignals
from keras_frm.training.train import train

# === Signals ===


def send(number):
    os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def usual_handlers():
    """Give pytest's handlers back, whatever a test does."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_is_noted_where_there_is_something_to_save(number):
    before = signal.getsignal(number)
    with StopSignals() as signals:
        signals.nothing_to_save = False
        assert signals.received is None
        send(number)
        assert signals.received == number
    assert signal.getsignal(number) == before


def test_exit_codes():
    with StopSignals() as signals:
        signals.nothing_to_save = False
        send(signal.SIGTERM)
        with pytest.raises(SystemExit) as ended:
            signals.leave()
        assert ended.value.code == 0
    with StopSignals() as signals:
        signals.nothing_to_save = False
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signals.leave()


def test_nothing_to_save_ends_at_once():
    with StopSignals(), pytest.raises(SystemExit) as ended:
        send(signal.SIGTERM)
    assert ended.value.code == 0
    with StopSignals(), pytest.raises(KeyboardInterrupt):
        send(signal.SIGINT)


def test_second_interrupt_does_not_wait_but_a_second_term_does():
    with StopSignals() as signals:
        signals.nothing_to_save = False
        send(signal.SIGTERM)
        send(signal.SIGTERM)
        assert signals.received == signal.SIGTERM
    with StopSignals() as signals:
        signals.nothing_to_save = False
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_ignored_interrupt_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with StopSignals() as signals:
        send(signal.SIGINT)
        assert signals.received is None
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_signals_are_left_alone_outside_of_the_main_thread():
    before = signal.getsignal(signal.SIGTERM)
    handlers = []

    def other_thread():
        with StopSignals():
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=other_thread)
    thread.start()
    thread.join()
    assert handlers == [before]


# === Losses that are not finite ===


def stop_at(skipped, epoch, step, files_of, position=None):
    position = position or Position(steps_per_epoch=5)
    callback = StopOnNonFinite(position, files_of, limit=3)
    callback.set_model(SimpleNamespace(skipped_in_a_row=np.int64(skipped)))
    callback.on_epoch_begin(epoch)
    callback.on_train_batch_end(step)


def test_fewer_in_a_row_go_on():
    stop_at(2, 0, 4, None)


def test_files_of_the_step_are_named():
    with pytest.raises(ValueError, match="not finite in 3 steps in a row") as error:
        stop_at(3, 1, 2, lambda step: [f"{step}_a.png", f"{step}_b.png"])
    line = str(error.value)
    assert "step 7 in epoch 2, whose batch is 7_a.png, 7_b.png;" in line
    assert "lower the learning rate" in line
    assert "\n" not in line


def test_step_of_a_resumed_epoch():
    position = Position(epoch=1, step=2, steps_per_epoch=5)
    with pytest.raises(ValueError, match=r"whose batch is 8\.png"):
        stop_at(3, 1, 1, lambda step: [f"{step}.png"], position)
    with pytest.raises(ValueError, match=r"whose batch is 11\.png"):
        stop_at(3, 2, 1, lambda step: [f"{step}.png"], position)


def test_large_batches_are_named_in_part():
    with pytest.raises(ValueError, match=r"0\.png, .*15\.png and 4 more;"):
        stop_at(3, 0, 0, lambda _: [f"{i}.png" for i in range(20)])


def test_data_without_files():
    with pytest.raises(ValueError, match="up to step 0 in epoch 1; look"):
        stop_at(3, 0, 0, None)


# === No progress ===


def epochs_until_stop(values, patience):
    """Return the epoch that stops a training, and what was said."""
    best = SimpleNamespace(best=-math.inf, best_epoch=None, monitor="val_mean_iou")
    said = []
    stop = EarlyStop(best, patience, said.append)
    stop.set_model(SimpleNamespace(stop_training=False))
    for epoch, value in enumerate(values):
        if value > best.best:
            best.best, best.best_epoch = value, epoch
        stop.on_epoch_end(epoch)
        if stop.model.stop_training:
            return epoch, said
    return None, said


@pytest.mark.parametrize(
    ("values", "patience", "stops"),
    [
        ([0.1, 0.2, 0.2, 0.1], 2, 3),
        ([0.1, 0.2, 0.2, 0.3], 2, None),
        ([0.3, 0.2], 1, 1),
        ([float("nan")] * 4, 3, 2),
    ],
)
def test_patience(values, patience, stops):
    epoch, said = epochs_until_stop(values, patience)
    assert epoch == stops
    assert len(said) == (stops is not None)


def test_early_stop_says_what_was_best():
    _, (line,) = epochs_until_stop([0.1, 0.25, 0.2], 1)
    assert "0.2500 in epoch 2" in line


# === In a training ===

STEPS = 4
IMAGES, LABELS = batch(2 * STEPS, seed=1)
NAMES = numbered_labels(3)


def stream(first_step):
    pairs = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(2)
    dataset = pairs.repeat().skip(first_step)
    dataset.steps_per_epoch = STEPS
    dataset.files_of = lambda step: [f"street_{step}.png"]
    return dataset


def make_model(learning_rate=0.0):
    keras.utils.set_random_seed(7)
    model = toy_model(preset="camvid", contrastive_weight=0.0)
    model.compile(keras.optimizers.SGD(learning_rate), CrossEntropy(), [MeanIoU(3)])
    return model


def train_in(folder, model, epochs, **options):
    validation = tf.data.Dataset.from_tensor_slices(batch(2, seed=2)).batch(2)
    return train(model, stream, validation, folder, NAMES, epochs=epochs, **options)


def test_training_without_progress_stops_and_is_finished(tmp_path, capsys):
    history = train_in(tmp_path, make_model(), epochs=9, patience=2)
    assert history.epoch == [0, 1, 2]
    assert "did not get better in 2 epochs" in capsys.readouterr().err
    assert checkpoint.newest_position(tmp_path).finished
    assert train_in(tmp_path, make_model(), epochs=9, patience=2).epoch == []


@pytest.mark.slow
def test_patience_goes_on_after_an_interruption(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train_in(tmp_path, _interrupted(make_model(), STEPS * 2), 9, patience=2)
    assert checkpoint.newest_position(tmp_path).epoch == 2
    assert train_in(tmp_path, make_model(), epochs=9, patience=2).epoch == [2]


def _interrupted(model, steps):
    """Let a model's training be interrupted after some steps."""
    make, seen = model.make_train_function, []

    def make_train_function(force=False):
        make(force)
        function = model.train_function

        def counted(iterator):
            if len(seen) == steps:
                raise KeyboardInterrupt
            seen.append(1)
            return function(iterator)

        model.train_function = counted

    model.make_train_function = make_train_function
    return model


def test_nan_ends_a_training_with_the_files(tmp_path):
    model = make_model(0.1)
    kernel = model.network.weights[0]
    kernel.assign(np.full(kernel.shape, np.nan))
    with pytest.raises(ValueError, match=r"10 steps in a row.* street_9\.png;"):
        train_in(tmp_path, model, epochs=9)
    with open(tmp_path / "log.csv", newline="") as file:
        skipped = [float(row["skipped_steps"]) for row in csv.DictReader(file)]
    assert skipped == [STEPS, STEPS]
