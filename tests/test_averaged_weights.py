"""Checkpoints of a training that averages its weights."""

import csv
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import batch, toy_model

from keras_frm.labels import numbered_labels
from keras_frm.losses import CrossEntropy
from keras_frm.metrics import MeanIoU
from keras_frm.models.saving import load_model, load_network
from keras_frm.training.train import train

MOMENTUM = 0.7
EPOCHS, STEPS = 3, 4


def data(count, seed):
    images, labels = batch(2 * count, seed=seed)
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(2)


def make_model(dtype="float32", average=True):
    """Return a model that starts from the same weights every time."""
    keras.utils.set_random_seed(7)
    model = toy_model(dtype=dtype, preset="camvid", contrastive_weight=0.0)
    options = {"use_ema": True, "ema_momentum": MOMENTUM} if average else {}
    optimizer = keras.optimizers.SGD(0.5, momentum=0.5, **options)
    if dtype == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=256.0)
    model.compile(optimizer, CrossEntropy(), [MeanIoU(3)])
    return model


class Note(keras.callbacks.Callback):
    """Keep the weights after every step."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(self.model.network.get_weights())


@functools.cache
def without_average(dtype):
    """Return the weights after each step of the same training without an average."""
    model, note = make_model(dtype, average=False), Note()
    model.fit(data(STEPS, 0), epochs=EPOCHS, shuffle=False, verbose=0, callbacks=[note])
    return note.steps


def averages(steps):
    """Return the moving average of weights after each step."""
    results = [steps[0]]
    for weights in steps[1:]:
        pairs = zip(results[-1], weights, strict=True)
        results.append([MOMENTUM * old + (1 - MOMENTUM) * new for old, new in pairs])
    return results


@pytest.fixture(scope="module", params=["float32", "mixed_float16"])
def trained(request, tmp_path_factory):
    """A training with an average: dtype, folder, model and history."""
    folder = tmp_path_factory.mktemp(request.param)
    model = make_model(request.param)
    history = train(
        *(model, data(STEPS, 0), data(2, 1), folder, numbered_labels(3)),
        epochs=EPOCHS,
    )
    return request.param, folder, model, history.history


def assert_weights(actual, expected):
    for left, right in zip(actual, expected, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-3, atol=1e-5)


def test_training_goes_on_from_its_own_weights(trained):
    dtype, folder, _, _ = trained
    steps = without_average(dtype)
    last = load_model(folder / "last.keras")
    assert_weights(last.network.get_weights(), steps[-1])
    distance = np.abs(steps[-1][0] - averages(steps)[-1][0]).max()
    assert distance > 0.01  # the average would be told from them


def test_best_is_the_average_that_was_validated(trained):
    dtype, folder, _, history = trained
    best_epoch = int(np.argmax(history["val_mean_iou"]))
    expected = averages(without_average(dtype))[STEPS * (best_epoch + 1) - 1]
    best = load_network(folder / "best.keras")
    assert_weights(best.get_weights(), expected)
    evaluated = make_model(dtype)
    evaluated.network.set_weights(best.get_weights())
    result = evaluated.evaluate(data(2, 1), verbose=0, return_dict=True)
    for name in ("mean_iou", "cross_entropy"):
        logged = history[f"val_{name}"][best_epoch]
        assert result[name] == pytest.approx(logged, rel=1e-3)


def test_fit_ends_with_the_average(trained):
    dtype, _, model, _ = trained
    expected = averages(without_average(dtype))[-1]
    assert_weights(model.network.get_weights(), expected)


def test_last_holds_the_average_in_its_optimizer(trained):
    dtype, folder, _, _ = trained
    last = keras.saving.load_model(folder / "last.keras", safe_mode=True)
    optimizer = getattr(last.optimizer, "inner_optimizer", last.optimizer)
    assert int(optimizer.iterations) == EPOCHS * STEPS
    last.optimizer.finalize_variable_values(last.trainable_weights)
    assert_weights(last.network.get_weights(), averages(without_average(dtype))[-1])


def test_log_has_a_validation_for_every_epoch(trained):
    _, folder, _, history = trained
    with open(folder / "log.csv", newline="") as file:
        rows = [float(row["val_cross_entropy"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(rows, history["val_cross_entropy"])
    assert len(set(rows)) == EPOCHS
