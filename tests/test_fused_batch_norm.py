"""The fused BatchNorm beside that of Keras."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_frm.layers.blocks.fused_batch_norm import BatchNormalization


def pair(shape, **options):
    """Return our layer and that of Keras, with the same weights."""
    layers = [
        kind(momentum=0.9, epsilon=1e-5, **options)
        for kind in (BatchNormalization, keras.layers.BatchNormalization)
    ]
    for layer in layers:
        layer.build(shape)
    random = np.random.default_rng(1)
    weights = [random.uniform(0.5, 2, w.shape) for w in layers[0].weights]
    for layer in layers:
        layer.set_weights(weights)
    return layers


def step(layer, x, training=True):
    """Return output and gradients of a compiled call."""

    @tf.function(autograph=False)
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
            loss = tf.reduce_sum(tf.cast(y, tf.float32) ** 3)
        return [y, *tape.gradient(loss, [x, *layer.trainable_variables])]

    return run(tf.cast(x, layer.compute_dtype))


@pytest.mark.parametrize("shape", [(4, 9, 7, 5), (1, 2, 3, 3), (1, 1, 1, 3)])
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [("float32", 1e-4), ("mixed_bfloat16", 3e-2), ("mixed_float16", 4e-3)],
)
def test_outputs_gradients_and_averages_are_those_of_keras(shape, dtype, tolerance):
    ours, theirs = pair(shape, dtype=dtype)
    x = np.random.default_rng(0).normal(3, 2, shape)
    for actual, expected in zip(step(ours, x), step(theirs, x), strict=True):
        assert actual.dtype == expected.dtype
        actual, expected = (np.asarray(z, "float32") for z in (actual, expected))
        scale = np.abs(expected).max() + 1e-3
        np.testing.assert_allclose(actual / scale, expected / scale, 0, tolerance)
    for actual, expected in zip(ours.weights, theirs.weights, strict=True):
        # Keras rounds the batch's statistics to the features' dtype.
        np.testing.assert_allclose(actual, expected, 1e-2 if "mixed" in dtype else 1e-5)
    moved = ours.moving_mean.numpy()
    assert np.ptp(moved) > 0


def test_large_features_of_float16_stay_finite():
    ours, _ = pair((2, 4, 4, 3), dtype="mixed_float16")
    x = np.random.default_rng(0).normal(0, 2e4, (2, 4, 4, 3))
    assert all(np.isfinite(y).all() for y in step(ours, x))
    assert np.isfinite(ours.moving_variance).all()
    assert float(ours.moving_variance[0]) > 1e7  # more than float16 can hold


@pytest.mark.parametrize(
    "options",
    [
        {"synchronized": True},
        {"scale": False},
        {"center": False},
        {"axis": 1},
        {"dtype": "float64"},
        {"trainable": False},
    ],
    ids=str,
)
def test_other_options_are_those_of_keras(options):
    shape = (3, 4, 5, 6)
    ours, theirs = pair(shape, **options)
    x = np.random.default_rng(0).normal(3, 2, shape)
    for actual, expected in zip(step(ours, x), step(theirs, x), strict=True):
        np.testing.assert_array_equal(actual, expected)
    for actual, expected in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_inference_is_that_of_keras():
    ours, theirs = pair((2, 3, 4, 5))
    x = np.random.default_rng(0).normal(3, 2, (2, 3, 4, 5))
    left, right = step(ours, x, training=False), step(theirs, x, training=False)
    for actual, expected in zip(left, right, strict=True):
        np.testing.assert_array_equal(actual, expected)
    assert ours.get_config() == {**theirs.get_config(), "name": ours.name}


def test_files_load(tmp_path):
    model = keras.Sequential([keras.Input((4, 4, 3)), BatchNormalization(name="norm")])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.get_layer("norm"), keras.layers.BatchNormalization)
