"""Cross-entropy against float64 NumPy."""

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf

from keras_frm.losses import CrossEntropy

CLASSES = 5
CLASS_WEIGHTS = [0.5, 1.0, 2.0, 0.0, 1.5]


def example(shape=(2, 5, 7), classes=CLASSES, ignored=0.3, seed=0):
    """Return labels with ignored pixels and float32 logits."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, shape)
    labels[rng.random(shape) < ignored] = reference.IGNORE_LABEL
    return labels, rng.normal(0, 3, (*shape, classes)).astype("float32")


def value_and_gradient(loss, labels, logits, sample_weight=None):
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss(labels, logits, sample_weight)
    return float(value), np.asarray(tape.gradient(value, logits))


def assert_matches(loss, labels, logits, weights=None, sample_weight=None):
    """Compare value and gradient with the reference's for the given pixel weights."""
    value, gradient = value_and_gradient(loss, labels, logits, sample_weight)
    expected, expected_gradient = reference.cross_entropy(labels, logits, weights)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("shape", [(2, 5, 7), (1, 1, 9), (3, 4, 1)])
def test_mean_over_labelled_pixels(shape):
    labels, logits = example(shape)
    assert_matches(CrossEntropy(), labels, logits)


def test_float64_agrees_to_the_last_digits():
    labels, logits = example()
    value = CrossEntropy(dtype="float64")(labels, logits.astype("float64"))
    expected, _ = reference.cross_entropy(labels, logits)
    np.testing.assert_allclose(float(value), expected, rtol=1e-13)


@pytest.mark.parametrize("ignore_label", [0, -1])
def test_another_ignore_label(ignore_label):
    labels, logits = example(ignored=0)
    given = np.where(labels == 0, ignore_label, labels)
    expected = np.where(labels == 0, reference.IGNORE_LABEL, labels)
    value, gradient = value_and_gradient(CrossEntropy(ignore_label), given, logits)
    want, want_gradient = reference.cross_entropy(expected, logits)
    np.testing.assert_allclose(value, want, rtol=1e-5)
    np.testing.assert_allclose(gradient, want_gradient, rtol=1e-4, atol=1e-7)


def test_class_weights_divide_by_the_sum_of_weights():
    labels, logits = example()
    table = np.array([*CLASS_WEIGHTS, *[0.0] * (256 - CLASSES)])
    loss = CrossEntropy(class_weights=CLASS_WEIGHTS)
    assert_matches(loss, labels, logits, weights=table[labels])


def test_sample_weight_of_images():
    labels, logits = example()
    weight = np.array([0.25, 2.0])
    expected = weight[:, np.newaxis, np.newaxis]
    assert_matches(CrossEntropy(), labels, logits, expected, sample_weight=weight)
    assert_matches(
        CrossEntropy(), labels, logits, expected, sample_weight=weight[:, np.newaxis]
    )


@pytest.mark.parametrize("channel", [False, True])
def test_sample_weight_of_pixels(channel):
    labels, logits = example()
    weight = np.random.default_rng(1).uniform(0, 2, labels.shape)
    given = weight[..., np.newaxis] if channel else weight
    assert_matches(CrossEntropy(), labels, logits, weight, sample_weight=given)


def test_class_and_sample_weights_multiply():
    labels, logits = example()
    weight = np.array([0.25, 2.0])
    table = np.array([*CLASS_WEIGHTS, *[0.0] * (256 - CLASSES)])
    loss = CrossEntropy(class_weights=CLASS_WEIGHTS)
    expected = table[labels] * weight[:, np.newaxis, np.newaxis]
    assert_matches(loss, labels, logits, expected, sample_weight=weight)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float32"])
def test_label_dtypes_and_channel_axis(dtype):
    labels, logits = example()
    expected, _ = reference.cross_entropy(labels, logits)
    for given in (labels, labels[..., np.newaxis]):
        value = CrossEntropy()(given.astype(dtype), logits)
        np.testing.assert_allclose(float(value), expected, rtol=1e-5)


def test_all_ignored_gives_zero_with_zero_gradient():
    labels, logits = example(ignored=1.1)
    for loss in (CrossEntropy(), CrossEntropy(class_weights=CLASS_WEIGHTS)):
        value, gradient = value_and_gradient(loss, labels, logits)
        assert value == 0
        np.testing.assert_array_equal(gradient, np.zeros_like(logits))


def test_ignored_pixels_get_no_gradient():
    labels, logits = example()
    _, gradient = value_and_gradient(CrossEntropy(), labels, logits)
    ignored = labels == reference.IGNORE_LABEL
    assert not gradient[ignored].any()
    assert gradient[~ignored].any(axis=-1).all()


def test_zero_weights_give_zero():
    labels, logits = example()
    value, gradient = value_and_gradient(CrossEntropy(), labels, logits, np.zeros(2))
    assert value == 0
    assert not gradient.any()


def test_one_class():
    labels, logits = example(classes=1)
    value, gradient = value_and_gradient(CrossEntropy(), labels, logits)
    assert value == 0
    assert not gradient.any()


def test_one_pixel():
    labels, logits = np.array([[[2]]]), example((1, 1, 1))[1]
    assert_matches(CrossEntropy(), labels, logits)


def test_wrong_number_of_class_weights():
    labels, logits = example()
    with pytest.raises(ValueError, match="3 `class_weights` for 5 classes"):
        CrossEntropy(class_weights=[1, 2, 3])(labels, logits)


def test_config_round_trip():
    loss = CrossEntropy(7, CLASS_WEIGHTS, name="ce", dtype="float64")
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(copy, CrossEntropy)
    assert copy.get_config() == loss.get_config()
    labels, logits = example()
    labels[labels == reference.IGNORE_LABEL] = 7
    assert float(copy(labels, logits)) == float(loss(labels, logits))


def test_float16_logits_are_computed_in_float32():
    labels, logits = example()
    half = logits.astype("float16")
    value, gradient = value_and_gradient(CrossEntropy(), labels, half)
    expected, expected_gradient = reference.cross_entropy(labels, half)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert gradient.dtype == "float16"
    np.testing.assert_allclose(gradient, expected_gradient, rtol=2e-3, atol=1e-6)


def test_large_logits_stay_finite():
    labels = np.array([[[0, 1]]])
    logits = np.array([[[[-1e4, 1e4], [-1e4, 1e4]]]], "float32")
    value, gradient = value_and_gradient(CrossEntropy(), labels, logits)
    np.testing.assert_allclose(value, 1e4)
    assert np.isfinite(gradient).all()


def test_unknown_sizes_in_a_graph():
    labels, logits = example()
    shapes = [tf.TensorSpec([None] * 3, "int32"), tf.TensorSpec([None] * 3 + [CLASSES])]
    value = tf.function(CrossEntropy(), input_signature=shapes)(labels, logits)
    expected, _ = reference.cross_entropy(labels, logits)
    np.testing.assert_allclose(float(value), expected, rtol=1e-5)


def test_compiled_model_takes_sample_weight():
    labels, images = example()
    weight = np.array([0.25, 2.0])
    model = keras.Sequential([keras.layers.Conv2D(CLASSES, 1)])
    model.compile(keras.optimizers.SGD(0.0), CrossEntropy())
    history = model.fit(
        images, labels, sample_weight=weight, batch_size=2, epochs=1, verbose=0
    )
    logits = np.asarray(model(images))
    pixels = weight[:, np.newaxis, np.newaxis]
    expected, _ = reference.cross_entropy(labels, logits, pixels)
    np.testing.assert_allclose(history.history["loss"], [expected], rtol=1e-5)
