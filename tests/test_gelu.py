"""The exact GELU and its gradient."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_frm.backend.tensorflow import fused_gelu as module
from keras_frm.layers import ConvFeedForward
from keras_frm.layers.blocks.gelu import gelu


@pytest.fixture(autouse=True)
def onednn(monkeypatch):
    """Take the way under test on every machine."""
    monkeypatch.setattr(module, "has_onednn", lambda: True)


def exact(x):
    """Return GELU and its slope in float64."""
    probability = np.array([0.5 * math.erfc(-y / math.sqrt(2)) for y in x.flat])
    density = np.exp(-0.5 * x.flatten() ** 2) / math.sqrt(2 * math.pi)
    value, slope = x.flat * probability, probability + x.flat * density
    return value.reshape(x.shape), slope.reshape(x.shape)


@pytest.mark.parametrize("known", [True, False], ids=["known size", "unknown size"])
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [("float64", 1e-6), ("float32", 1e-6), ("bfloat16", 5e-2), ("float16", 5e-3)],
)
def test_value_and_gradient_are_exact(dtype, tolerance, known):
    x = tf.cast(np.linspace(-12, 12, 210).reshape(2, 3, 5, 7), dtype)
    upstream = tf.cast(tf.reverse(x, (0,)), dtype)
    shape = x.shape if known else [None] * 4

    @tf.function(input_signature=2 * [tf.TensorSpec(shape, dtype)], autograph=False)
    def both(x, upstream):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = gelu(x, training=True)
        return y, tape.gradient(y, x, upstream)

    y, gradient = both(x, upstream)
    assert y.dtype == gradient.dtype == dtype
    value, slope = exact(x.numpy().astype("float64"))
    np.testing.assert_allclose(y.numpy().astype("float64"), value, 0, tolerance)
    expected = slope * upstream.numpy().astype("float64")
    scale = max(1, np.abs(expected).max())
    actual = gradient.numpy().astype("float64")
    np.testing.assert_allclose(actual / scale, expected / scale, 0, tolerance)


def test_large_numbers_stay_finite():
    x = tf.constant([-3e38, -100.0, 100.0, 3e38])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = gelu(x, training=True)
    assert np.array_equal(tape.gradient(y, x), [0, 0, 1, 1])
    assert np.array_equal(y, [0, 0, 100, np.float32(3e38)])


def test_inference_and_graphs_of_keras_have_the_operation_of_keras():
    node = gelu(keras.Input((3, 4, 5)), training=False)
    assert type(node._keras_history.operation).__name__ == "Gelu"
    spec = tf.TensorSpec((2, 3))
    graph = tf.function(gelu, autograph=False).get_concrete_function(spec).graph
    assert "Erfc" in {operation.type for operation in graph.get_operations()}


def test_layer_trains_as_with_the_operation_of_keras():
    layer = ConvFeedForward(2)
    layer.build((1, 4, 4, 3))
    x = tf.ones((1, 4, 4, 3))
    with tf.GradientTape() as tape:
        y = layer(x, training=True)
    left = tape.gradient(y, layer.trainable_variables)
    with tf.GradientTape() as tape:
        y = layer(x, training=False)
    right = tape.gradient(y, layer.trainable_variables)
    for a, b in zip(left, right, strict=True):
        np.testing.assert_allclose(a, b, 1e-4, 1e-5)
