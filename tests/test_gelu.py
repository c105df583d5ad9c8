"""The exact GELU and its gradient."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_frm.backend.tensorflow import fused_gelu as module
from keras_frm.layers import ConvFeedForward
from keras_frm.layers.blocks.gelu import gelu, pointwise_of_gelu


@pytest.fixture(autouse=True)
def x86(monkeypatch):
    """Take the way under test on every machine."""
    monkeypatch.setattr(module, "computes_on_x86", lambda: True)


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


@pytest.mark.parametrize("use_bias", [True, False])
def test_convolution_of_a_gelu_and_its_gradients_are_exact(use_bias):
    random = np.random.default_rng(0)
    layer = keras.layers.Conv2D(3, 1, use_bias=use_bias, bias_initializer="ones")
    layer.build((2, 5, 7, 4))
    x = tf.constant(random.normal(size=(2, 5, 7, 4)), tf.float32)
    upstream = random.normal(size=(2, 5, 7, 3)).astype("float32")

    @tf.function(autograph=False)
    def both(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = pointwise_of_gelu(x, layer, training=True)
        return y, tape.gradient(y, [x, *layer.trainable_variables], upstream)

    y, (of_x, of_kernel, *of_bias) = both(x)
    value, slope = exact(x.numpy().astype("float64"))
    kernel = layer.kernel.numpy()[0, 0].astype("float64")  # (C, C_out)
    np.testing.assert_allclose(y, value @ kernel + use_bias, 0, 1e-5)
    np.testing.assert_allclose(of_x, (upstream @ kernel.T) * slope, 0, 1e-5)
    expected = np.einsum("bhwc,bhwd->cd", value, upstream)
    np.testing.assert_allclose(of_kernel[0, 0], expected, 0, 1e-4)
    for gradient in of_bias:
        np.testing.assert_allclose(gradient, upstream.sum((0, 1, 2)), 0, 1e-4)


def test_gelu_before_a_convolution_is_computed_again_in_the_backward_pass():
    """All that the gradient takes of the forward pass is the input."""
    layer = keras.layers.Conv2D(3, 1)
    layer.build((2, 5, 7, 4))

    @tf.function(autograph=False)
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = pointwise_of_gelu(x, layer, training=True)
        return tape.gradient(y, [x, layer.kernel.value], tf.ones_like(y))

    operations = step.get_concrete_function(tf.TensorSpec((2, 5, 7, 4))).graph
    loops = [o for o in operations.get_operations() if "PartitionedCall" in o.type]
    assert len(loops) == 3  # value, value again, slope
    assert [bool(loop.control_inputs) for loop in loops] == [False, True, False]


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
