"""What is taken from a classifier's bias after a training with class weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_cli import SMALL, camvid, keras_frm, quick_model  # noqa: F401

from keras_frm.layers import DepthToSpace
from keras_frm.models.saving import load_network
from keras_frm.training.class_bias import AMOUNTS, adjust_class_bias

WEIGHTS = (0.5, 1.0, 60.0, 0.0)


def network(bias=(0.0, 0.0, 0.0, 0.0), use_bias=True):
    """Return a network whose logits are twice its channels, and 0, and the bias."""
    image = keras.Input((None, None, 3))
    conv = keras.layers.Conv2D(4, 1, use_bias=use_bias, name="classifier")
    model = keras.Model(image, conv(image))
    # Twice an image of `pairs` are its classes' log likelihoods.
    kernel = 2 * np.eye(3, 4, dtype="float32").reshape(1, 1, 3, 4)
    conv.set_weights([kernel, np.float32(bias)] if use_bias else [kernel])
    return model


def pairs(count=4, seed=0):
    """Return noisy one-hot images with labels, in which class 2 is rare."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        labels = rng.choice(3, p=(0.6, 0.37, 0.03), size=(1, 24, 24))
        image = np.eye(3)[labels] * 2 + rng.normal(size=(1, 24, 24, 3))
        yield tf.constant(image, "float32"), tf.constant(labels, "uint8")


def test_bias_of_the_weights_is_found_again():
    """A weighted loss adds the weights' logarithms; taking them back is best."""
    shift = np.log(np.where(np.array(WEIGHTS) > 0, WEIGHTS, 1.0))
    prior = np.log([0.6, 0.37, 0.03, 1e-6])
    model = network(shift + prior)
    found = adjust_class_bias(model, list(pairs()), WEIGHTS)
    print(found)
    best = max(found, key=found.get)
    assert tuple(found) == AMOUNTS
    assert best >= 0.5
    assert found[best] > found[0.0] + 0.02
    bias = model.get_layer("classifier").bias
    np.testing.assert_allclose(bias, shift + prior - best * shift, rtol=1e-5)


def test_nothing_is_taken_where_nothing_helps():
    model = network(np.log([0.6, 0.37, 0.03, 1e-6]))
    found = adjust_class_bias(model, list(pairs()), WEIGHTS)
    assert max(found, key=found.get) <= 0.25


def test_mean_iou_is_that_of_the_adjusted_network():
    images = list(pairs())
    model = network((0.0, 0.0, 2.0, -9.0))
    found = adjust_class_bias(model, images, WEIGHTS)
    again = adjust_class_bias(model, images, np.ones(4))
    assert again[0.0] == pytest.approx(max(found.values()), abs=1e-9)


def test_equal_weights_change_nothing():
    model = network((1.0, 2.0, 3.0, 4.0))
    adjust_class_bias(model, list(pairs(1)), np.ones(4))
    assert np.array(model.get_layer("classifier").bias).tolist() == [1, 2, 3, 4]


def test_classifier_of_several_pixels():
    """Channels are (row, column, class): each pixel's classes are adjusted alike."""
    image = keras.Input((None, None, 3))
    conv = keras.layers.Conv2D(16, 2, 2, name="classifier")
    model = keras.Model(image, DepthToSpace(2)(conv(image)))
    shift = np.log(np.where(np.array(WEIGHTS) > 0, WEIGHTS, 1.0))
    prior = np.log([0.6, 0.37, 0.03, 1e-6])
    kernel = np.zeros((2, 2, 3, 2, 2, 4), "float32")
    for row, column in np.ndindex(2, 2):
        kernel[row, column, :, row, column] = 2 * np.eye(3, 4)
    bias = np.float32(np.tile(shift + prior, 4))
    conv.set_weights([kernel.reshape(2, 2, 3, 16), bias])
    found = adjust_class_bias(model, list(pairs()), WEIGHTS)
    best = max(found, key=found.get)
    assert best >= 0.5
    expected = np.tile(shift + prior - best * shift, 4)
    np.testing.assert_allclose(conv.bias, expected, rtol=1e-5)


def test_classifier_without_a_bias():
    with pytest.raises(ValueError, match=r"'classifier' of network .* has no bias"):
        adjust_class_bias(network(use_bias=False), list(pairs(1)), WEIGHTS)


# === The command ===


def train(camvid, folder, *options):  # noqa: F811
    return keras_frm(
        *("train", "--preset", "camvid", "--data", camvid, "--out", folder, *SMALL),
        *("--class-weights", "sqrt", "--contrastive-weight", 0, *options),
    )


@pytest.mark.usefixtures("quick_model")
def test_training_ends_with_it(camvid, tmp_path):  # noqa: F811
    folder = tmp_path / "run"
    done = train(camvid, folder, "--adjust-bias")
    assert done.code == 0, done.err
    assert "of the class weights back: 0." in done.out
    best, final = (load_network(folder / f"{name}.keras") for name in ("best", "final"))
    for old, new in zip(best.weights[:-1], final.weights[:-1], strict=True):
        np.testing.assert_array_equal(old, new)
    assert "is finished" in train(camvid, folder, "--adjust-bias").out
    # One that was killed before its end does the rest.
    (folder / "final.keras").unlink()
    assert "weights back" in train(camvid, folder, "--adjust-bias").out
    assert (folder / "final.keras").is_file()
    # And one that goes on has no final network until its new end.
    done = train(camvid, folder, "--adjust-bias", "--more-epochs", 1)
    assert "weights back" in done.out
    assert (folder / "final.keras").is_file()


@pytest.mark.usefixtures("quick_model")
def test_training_without_it(camvid, tmp_path):  # noqa: F811
    done = train(camvid, tmp_path / "run")
    assert done.code == 0, done.err
    assert not (tmp_path / "run/final.keras").exists()
