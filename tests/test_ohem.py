"""OHEM against the reference implementations' arrays and NumPy."""

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from helpers import nhwc

from keras_frm.losses import CrossEntropy, OhemCrossEntropy


@pytest.fixture(scope="module")
def arrays(parity_dir):
    return np.load(parity_dir / "ohem.npz")


def value_and_gradient(loss, labels, logits, sample_weight=None):
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(labels, logits, sample_weight)
    return float(value), np.asarray(tape.gradient(value, logits))


def example(shape=(2, 6, 8), classes=4, ignored=0.2):
    """Return labels with ignored pixels and float32 logits."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, shape)
    labels[rng.random(shape) < ignored] = reference.IGNORE_LABEL
    return labels, rng.normal(0, 4, (*shape, classes)).astype("float32")


def mean_loss(labels, logits, kept, weights=1.0):
    """Return the mean (weighted) cross-entropy of the kept pixels, 0 for none."""
    losses = -np.log(reference.true_probability(labels, logits)) * weights
    return losses[kept].sum() / max(kept.sum(), 1)


def pidnet_rule(labels, logits, threshold, min_kept):
    """Return which pixels PIDNet's `OhemCrossEntropy` keeps: (B, H, W) bool."""
    probability = reference.true_probability(labels, logits)
    valid = labels != reference.IGNORE_LABEL
    ranked = np.sort(probability[valid])
    limit = max(ranked[min(min_kept, valid.sum() - 1)], threshold)
    return valid & (probability < limit)


def sfnet_rule(labels, logits, threshold, min_kept):
    """Return which pixels SFNet's `OhemCrossEntropy2dTensor` keeps: (B, H, W) bool."""
    probability = reference.true_probability(labels, logits)
    valid = labels != reference.IGNORE_LABEL
    if min_kept > valid.sum():
        return valid
    ranked = np.sort(probability.ravel())  # ignored ones are 1
    limit = max(ranked[min(labels.size, min_kept) - 1], threshold)
    return valid & (probability <= limit)


@pytest.mark.parametrize("keep", [100, 300])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["hard", "easy"])
def test_pidnet(arrays, kind, keep, weighted):
    name = f"pid_{kind}_keep{keep}" + ("_weighted" if weighted else "")
    class_weights = arrays["class_weights"].tolist() if weighted else None
    loss = OhemCrossEntropy(0.9, keep, class_weights=class_weights)
    value = loss(arrays["labels"], nhwc(arrays[kind]))
    np.testing.assert_allclose(float(value), arrays[name], rtol=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-6), ("float32", 1e-4)])
@pytest.mark.parametrize("kind", ["hard", "easy"])
def test_pidnet_gradient(arrays, kind, dtype, tolerance):
    """In float32 the easy pixels' p - 1 loses digits, hence the two tolerances."""
    loss = OhemCrossEntropy(0.9, 100, dtype=dtype)
    logits = nhwc(arrays[kind]).astype(dtype)
    _, gradient = value_and_gradient(loss, arrays["labels"], logits)
    expected = nhwc(arrays[f"grad_pid_{kind}_keep100"])
    largest = np.abs(expected).max()
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=tolerance * largest)


def test_pidnet_two_heads(arrays):
    """PIDNet divides its auxiliary loss by all pixels, ignored ones included."""
    labels = arrays["labels"]
    auxiliary = CrossEntropy()(labels, nhwc(arrays["aux"]))
    auxiliary *= (labels != reference.IGNORE_LABEL).mean()
    hard = OhemCrossEntropy(0.9, 100)(labels, nhwc(arrays["hard"]))
    expected = arrays["pid_two_heads_keep100"]
    np.testing.assert_allclose(float(0.4 * auxiliary + hard), expected, rtol=1e-5)


def test_plain_cross_entropy(arrays):
    value = CrossEntropy()(arrays["labels"], nhwc(arrays["hard"]))
    np.testing.assert_allclose(float(value), arrays["ce_hard"], rtol=1e-5)


@pytest.mark.parametrize("keep", [100, 300])
@pytest.mark.parametrize("kind", ["hard", "easy"])
def test_sfnet(arrays, kind, keep):
    """The same `min_kept` keeps what SFNet keeps: its p <= p[K - 1] is p < p[K]."""
    labels, logits = arrays["labels"], nhwc(arrays[kind])
    expected = arrays[f"sf_{kind}_keep{keep}"]
    theirs = sfnet_rule(labels, logits, 0.7, keep)
    np.testing.assert_allclose(mean_loss(labels, logits, theirs), expected, rtol=1e-6)
    np.testing.assert_array_equal(pidnet_rule(labels, logits, 0.7, keep), theirs)
    value = OhemCrossEntropy(0.7, keep)(labels, logits)
    np.testing.assert_allclose(float(value), expected, rtol=1e-5)


@pytest.mark.parametrize("beyond", [0, 1, 1000])
def test_sfnet_keeps_one_pixel_more_when_all_are_asked_for(beyond):
    """From K = valid pixels on, SFNet keeps all and we leave out the easiest."""
    labels, logits = example()
    keep = int((labels != reference.IGNORE_LABEL).sum()) + beyond
    theirs = sfnet_rule(labels, logits, 0.0, keep)
    ours = pidnet_rule(labels, logits, 0.0, keep)
    probability = reference.true_probability(labels, logits)
    assert theirs.sum() == ours.sum() + 1
    assert probability[theirs & ~ours] == probability[theirs].max()
    expected = mean_loss(labels, logits, ours)
    value = OhemCrossEntropy(0.0, keep)(labels, logits)
    np.testing.assert_allclose(float(value), expected, rtol=1e-5)


def test_sfnet_keeps_a_pixel_at_the_threshold():
    labels, logits = np.zeros((1, 1, 2), int), np.zeros((1, 1, 2, 2))
    logits[0, 0, 1, 0] = -1.0
    kept = sfnet_rule(labels, logits, 0.5, 1)
    assert kept.tolist() == [[[True, True]]]
    value = OhemCrossEntropy(0.5, 1, dtype="float64")(labels, logits)
    np.testing.assert_allclose(float(value), np.log(1 + np.e))


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("min_kept", [0, 1, 20, 10_000])
def test_random_cases(threshold, min_kept):
    labels, logits = example()
    kept = pidnet_rule(labels, logits, threshold, min_kept)
    expected = mean_loss(labels, logits, kept)
    value = OhemCrossEntropy(threshold, min_kept)(labels, logits)
    np.testing.assert_allclose(float(value), expected, rtol=1e-5)


def test_only_kept_pixels_get_a_gradient():
    labels, logits = example()
    kept = pidnet_rule(labels, logits, 0.1, 20)
    _, gradient = value_and_gradient(OhemCrossEntropy(0.1, 20), labels, logits)
    np.testing.assert_array_equal(gradient.any(axis=-1), kept)
    _, expected = reference.cross_entropy(labels, logits, weights=kept)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("channel", [False, True])
def test_sample_weight_multiplies_the_kept_losses(channel):
    labels, logits = example()
    weight = np.random.default_rng(1).uniform(0, 2, labels.shape)
    kept = pidnet_rule(labels, logits, 0.1, 20)
    expected = mean_loss(labels, logits, kept, weight)
    given = weight[..., np.newaxis] if channel else weight
    value = OhemCrossEntropy(0.1, 20)(labels[..., np.newaxis], logits, given)
    np.testing.assert_allclose(float(value), expected, rtol=1e-5)


def test_sample_weight_of_images():
    labels, logits = example()
    kept = pidnet_rule(labels, logits, 0.1, 20)
    weight = np.array([0.25, 2.0])
    expected = mean_loss(labels, logits, kept, weight[:, np.newaxis, np.newaxis])
    value = OhemCrossEntropy(0.1, 20)(labels, logits, weight)
    np.testing.assert_allclose(float(value), expected, rtol=1e-5)


def test_all_ignored_gives_zero_with_zero_gradient():
    labels, logits = example(ignored=1.1)
    value, gradient = value_and_gradient(OhemCrossEntropy(), labels, logits)
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros_like(logits))


def test_min_kept_larger_than_the_image():
    labels, logits = example(shape=(1, 3, 5))
    expected = mean_loss(labels, logits, pidnet_rule(labels, logits, 0.9, 15))
    value, gradient = value_and_gradient(OhemCrossEntropy(), labels, logits)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert np.isfinite(gradient).all()


def test_one_labelled_pixel():
    labels, logits = np.full((1, 3, 5), 255, "uint8"), example(shape=(1, 3, 5))[1]
    labels[0, 1, 2] = 1
    value, _ = value_and_gradient(OhemCrossEntropy(1.0, 1), labels, logits)
    expected, _ = reference.cross_entropy(labels, logits)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_one_class():
    labels, logits = example(classes=1)
    value, gradient = value_and_gradient(OhemCrossEntropy(), labels, logits)
    assert value == 0
    assert not gradient.any()


def test_float16_logits():
    labels, logits = example()
    half = logits.astype("float16")
    expected = mean_loss(labels, half, pidnet_rule(labels, half, 0.9, 20))
    value, gradient = value_and_gradient(OhemCrossEntropy(0.9, 20), labels, half)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert np.isfinite(gradient).all()


def test_unknown_sizes_in_a_graph():
    labels, logits = example()
    shapes = [tf.TensorSpec([None] * 3, "int32"), tf.TensorSpec([None] * 3 + [4])]
    loss = tf.function(OhemCrossEntropy(0.1, 20), input_signature=shapes)
    expected = mean_loss(labels, logits, pidnet_rule(labels, logits, 0.1, 20))
    np.testing.assert_allclose(float(loss(labels, logits)), expected, rtol=1e-5)


def test_wrong_number_of_class_weights():
    labels, logits = example()
    with pytest.raises(ValueError, match="2 `class_weights` for 4 classes"):
        OhemCrossEntropy(class_weights=[1, 2])(labels, logits)


def test_config_round_trip():
    loss = OhemCrossEntropy(0.3, 7, 11, [1, 2, 3, 4], name="ohem", dtype="float64")
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(copy, OhemCrossEntropy)
    assert copy.get_config() == loss.get_config()
    labels, logits = example(ignored=0)
    assert float(copy(labels, logits)) == float(loss(labels, logits)) > 0
