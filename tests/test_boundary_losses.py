"""PIDNet's losses against its arrays, and boundaries against NumPy and OpenCV."""

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import nhwc

from keras_frm.layers import AlignedUpsampling
from keras_frm.losses import BoundaryLoss, CrossEntropy, OhemCrossEntropy
from keras_frm.losses.boundary import class_boundaries, labels_near_boundaries
from keras_frm.scenes import render_scene

SIZES = [(1, 24, 31), (2, 40, 48), (1, 5, 9), (1, 13, 1)]


@pytest.fixture(scope="module")
def arrays(parity_dir):
    return np.load(parity_dir / "pidnet_loss.npz")


def patches(shape, seed=0, classes=4):
    """Return labels in patches of eight pixels, some of them ignored."""
    batch, height, width = shape
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, classes + 1, (batch, -(-height // 8), -(-width // 8)))
    labels = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]
    return np.where(labels == classes, 255, labels).astype("int32")


def boundaries(labels):
    """Return `class_boundaries`, pixel by pixel."""
    batch, height, width = labels.shape
    near = np.zeros(labels.shape, bool)
    for b, row, column in np.ndindex(batch, height, width):
        if not (6 <= row < height - 6 and 6 <= column < width - 6):
            continue
        here = labels[b, row, column]
        others = labels[b, row : row + 2, column], labels[b, row, column : column + 2]
        if any((here != other).any() for other in others):
            near[b, max(row - 1, 0) : row + 3, max(column - 1, 0) : column + 3] = True
    return near


# === The official losses ===


@pytest.mark.parametrize("keep", [500, 3000])
def test_pidnet_losses_and_gradients(arrays, keep):
    """Logits are resized with aligned corners, as there; here they are half-pixel."""
    labels = arrays["labels"]
    weights = arrays["class_weights"].tolist()
    outputs = [tf.constant(nhwc(arrays[k]), "float64") for k in ("aux_p", "main")]
    outputs.append(tf.constant(nhwc(arrays["aux_d"]), "float64"))
    resize = AlignedUpsampling(dtype="float64")
    ohem = OhemCrossEntropy(0.9, keep, class_weights=weights, dtype="float64")
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        p, main, d = (resize(x, labels[..., np.newaxis]) for x in outputs)
        of_all = CrossEntropy(class_weights=weights, dtype="float64", divisor="pixels")
        semantic = 0.4 * of_all(labels, p) + ohem(labels, main)
        boundary = 20 * BoundaryLoss(dtype="float64").of_boundaries(arrays["edge"], d)
        near = labels_near_boundaries(tf.constant(labels), d, 0.8, 255)
        aware = ohem(near, main)
        total = semantic + boundary + aware
    for name, value in (
        ("loss_s", semantic),
        ("loss_b", boundary),
        ("loss_sb", aware),
        ("total", total),
    ):
        np.testing.assert_allclose(value, arrays[f"{name}_keep{keep}"], rtol=1e-5)
    gradients = tape.gradient(total, outputs)
    for name, gradient in zip(("aux_p", "main", "aux_d"), gradients, strict=True):
        expected = nhwc(arrays[f"grad_{name}_keep{keep}"])
        error = np.abs(gradient - expected).max() / np.abs(expected).max()
        assert error < 1e-5, name


# === Boundaries ===


@pytest.mark.parametrize("shape", SIZES)
def test_boundaries_are_those_of_numpy(shape):
    labels = patches(shape)
    np.testing.assert_array_equal(class_boundaries(labels), boundaries(labels))


def test_boundaries_of_unknown_size():
    labels = patches((2, 40, 48))
    spec = tf.TensorSpec((None, None, None), "int32")
    near = tf.function(class_boundaries, input_signature=[spec])(labels)
    np.testing.assert_array_equal(near, boundaries(labels))


def test_one_class_and_all_ignored_have_no_boundary():
    for label in (3, 255):
        labels = np.full((1, 32, 32), label)
        assert not np.any(class_boundaries(labels))
        logits = np.zeros((1, 32, 32, 1), "float32")
        assert float(BoundaryLoss()(labels, logits)) == 0


def test_band_is_that_of_canny():
    """PIDNet's own way: Canny's line, its border cleared, widened by a box of four."""
    _, labels = render_scene(3, seed=0, size=(256, 512))
    line = cv2.Canny(labels.astype("uint8"), 0.1, 0.2)
    line = np.pad(line[6:-6, 6:-6], 6)
    theirs = cv2.dilate(line, np.ones((4, 4), "uint8")) > 50
    ours = np.asarray(class_boundaries(labels[np.newaxis].astype("int32")))[0]
    agreement = (ours & theirs).sum() / (ours | theirs).sum()
    print(f"{agreement:.3f}")
    assert agreement > 0.9


# === The loss ===


def loss_of(labels, logits, weights=1.0):
    """Return the loss in float64."""
    near = boundaries(labels)
    share = near.mean()
    weights = np.where(near, 1 - share, share) * weights
    z = logits[..., 0].astype("float64")
    losses = np.where(near, np.log1p(np.exp(-z)), np.log1p(np.exp(z)))
    return (weights * losses).sum() / labels.size


@pytest.mark.parametrize("shape", SIZES)
def test_loss_is_that_of_numpy(shape):
    labels = patches(shape)
    logits = np.random.default_rng(1).normal(0, 3, (*shape, 1)).astype("float32")
    found = BoundaryLoss()(labels[..., np.newaxis], logits)
    np.testing.assert_allclose(float(found), loss_of(labels, logits), rtol=1e-5)
    weights = np.linspace(0.5, 2, shape[0]).astype("float32")
    found = BoundaryLoss()(labels, logits, sample_weight=weights)
    expected = loss_of(labels, logits, weights[:, np.newaxis, np.newaxis])
    np.testing.assert_allclose(float(found), expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_logits_are_computed_in_float32(dtype):
    labels = patches((1, 24, 31))
    logits = np.random.default_rng(1).normal(0, 3, (1, 24, 31, 1)).astype("float32")
    found = BoundaryLoss()(labels, keras.ops.cast(logits, dtype))
    assert float(found) == pytest.approx(loss_of(labels, logits), rel=1e-2)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"


def test_loss_comes_back_from_its_configuration():
    for loss in (BoundaryLoss(), CrossEntropy(divisor="pixels"), OhemCrossEntropy()):
        again = type(loss).from_config(loss.get_config())
        assert again.get_config() == loss.get_config()


def test_wrong_divisor():
    with pytest.raises(ValueError, match=r"'weights' or 'pixels'\. Received: 'none'"):
        CrossEntropy(divisor="none")
