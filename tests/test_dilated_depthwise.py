"""Depthwise convolutions with gradients of our own."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import tiny_model

from keras_frm.backend.tensorflow import depthwise_conv as module
from keras_frm.backend.tensorflow import device
from keras_frm.backend.tensorflow.depthwise_conv import depthwise_conv
from keras_frm.layers.blocks.dilated_depthwise import LargeDepthwiseConv2D

every_form = pytest.mark.parametrize(("size", "dilation"), [(7, 3), (5, 1), (3, 2)])


@pytest.fixture(autouse=True)
def onednn(monkeypatch):
    """Take the way under test on every machine."""
    monkeypatch.setattr(module, "has_onednn", lambda: True)


def random(shape, seed=0, dtype="float32"):
    """Return standard normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def convolved(x, kernel, dilation):
    """Return the convolution written out tap by tap."""
    height, width = x.shape[1:3]
    reach = dilation * (len(kernel) // 2)
    x = np.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    return sum(
        kernel[i, j, :, 0] * x[:, i * dilation :, j * dilation :][:, :height, :width]
        for i in range(len(kernel))
        for j in range(len(kernel))
    )


def numeric_gradient(function, x, upstream, step=1e-4):
    """Return the gradient of sum(upstream * function(x)) by differences, float64."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        sides = []
        for sign in (1, -1):
            moved = x.copy()
            moved[index] += sign * step
            sides.append((upstream * function(moved)).sum())
        gradient[index] = (sides[0] - sides[1]) / (2 * step)
    return gradient


@every_form
@pytest.mark.parametrize("shape", [(2, 6, 5, 3), (1, 1, 1, 2), (3, 11, 2, 1)])
def test_values_and_gradients_are_those_of_the_sum_over_taps(shape, size, dilation):
    x, kernel = random(shape, 0, "float64"), random((size, size, shape[-1], 1), 1)
    kernel, upstream = kernel.astype("float64"), random(shape, 2, "float64")
    inputs = tf.constant(x, tf.float32), tf.constant(kernel, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        y = depthwise_conv(*inputs, (dilation, dilation))
    gradients = tape.gradient(y, inputs, tf.constant(upstream, tf.float32))
    expected = (
        convolved(x, kernel, dilation),
        numeric_gradient(lambda z: convolved(z, kernel, dilation), x, upstream),
        numeric_gradient(lambda z: convolved(x, z, dilation), kernel, upstream),
    )
    for actual, reference in zip((y, *gradients), expected, strict=True):
        np.testing.assert_allclose(actual, reference, 1e-4, 1e-4)


def step_of(layer, x, training=True):
    """Return output and gradients, compiled with an unknown size."""

    @tf.function(
        input_signature=[tf.TensorSpec((None, None, None, x.shape[-1]), x.dtype)],
        autograph=False,
    )
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
            loss = tf.reduce_sum(tf.cast(y, tf.float32) ** 2)
        return y, tape.gradient(loss, [x, *layer.trainable_variables])

    return run(x)


@every_form
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [("float32", 1e-5), ("mixed_bfloat16", 1e-1), ("mixed_float16", 5e-3)],
)
def test_layer_trains_as_that_of_keras(size, dilation, dtype, tolerance):
    options = {"padding": "same", "dilation_rate": dilation, "dtype": dtype}
    ours = LargeDepthwiseConv2D(size, bias_initializer="ones", **options)
    theirs = keras.layers.DepthwiseConv2D(size, **{**options, "dtype": "float32"})
    x = random((2, 17, 13, 8))
    theirs.build(x.shape)
    ours.build(x.shape)
    theirs.set_weights(ours.get_weights())
    y, gradients = step_of(ours, tf.cast(x, ours.compute_dtype))
    z, others = step_of(theirs, tf.constant(x))
    assert y.dtype == ours.compute_dtype
    for actual, reference in zip((y, *gradients), (z, *others), strict=True):
        scale = np.abs(reference).max()
        actual = np.asarray(actual, np.float32)
        np.testing.assert_allclose(actual / scale, reference / scale, 0, tolerance)


@pytest.mark.parametrize(
    "options",
    [
        {"padding": "valid"},
        {"padding": "same", "strides": 2},
        {"padding": "same", "depth_multiplier": 2},
        {"padding": "same", "dilation_rate": (3, 1)},
        {"padding": "same", "use_bias": False, "activation": "tanh"},
    ],
    ids=["valid", "strided", "multiplier", "two rates", "activation"],
)
def test_other_options_are_those_of_keras(options):
    ours = LargeDepthwiseConv2D(5, **options)
    theirs = keras.layers.DepthwiseConv2D(5, **options)
    x = tf.constant(random((2, 9, 10, 3)))
    ours.build(x.shape)
    theirs.build(x.shape)
    theirs.set_weights(ours.get_weights())
    results = step_of(ours, x), step_of(theirs, x)
    for actual, reference in zip(*map(tf.nest.flatten, results), strict=True):
        np.testing.assert_allclose(actual, reference, 1e-4, 1e-4)


def test_inference_is_the_operation_of_keras():
    """What is exported has no trace of the gradient."""
    layer = LargeDepthwiseConv2D(7, padding="same", dilation_rate=3)
    layer.build((None, 9, 9, 4))
    spec = tf.TensorSpec((1, 9, 9, 4))
    graph = tf.function(layer, autograph=False).get_concrete_function(spec).graph
    kinds = {operation.type for operation in graph.get_operations()}
    assert "IdentityN" not in kinds
    assert "DepthwiseConv2dNative" in kinds


@pytest.mark.slow
def test_whole_network_has_the_gradients_of_plain_layers(monkeypatch):
    model = tiny_model(num_classes=3, contrastive_weight=0.0)
    x = tf.constant(random((2, 45, 64, 3)) * 255)

    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model.network(x, training=True) ** 2)
        return tape.gradient(loss, model.network.trainable_variables)

    ours = gradients()
    monkeypatch.setattr(module, "has_onednn", lambda: False)
    theirs = gradients()
    # That of a bias before a BatchNorm is 0 but for round-off.
    largest = max(np.abs(gradient).max() for gradient in theirs)
    for variable, left, right in zip(
        model.network.trainable_variables, ours, theirs, strict=True
    ):
        np.testing.assert_allclose(
            left, right, 1e-2, 1e-4 * largest, err_msg=variable.path
        )


def test_names_of_weights_and_config_are_those_of_keras():
    ours = LargeDepthwiseConv2D(7, padding="same", dilation_rate=3, name="dilated")
    theirs = keras.layers.DepthwiseConv2D.from_config(ours.get_config())
    for layer in (ours, theirs):
        layer.build((None, 9, 9, 4))
    assert [w.path for w in ours.weights] == [w.path for w in theirs.weights]
    assert ours.get_config() == theirs.get_config()


def test_machines_that_keep_the_layer_of_keras(monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert not device.has_onednn()
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    monkeypatch.setattr(device.platform, "machine", lambda: "x86_64")
    assert device.has_onednn()
    monkeypatch.setattr(device.platform, "machine", lambda: "arm64")
    assert not device.has_onednn()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [(("avx2", "fma"), False), (("avx2", "avx512_vnni"), True), ((), False)],
    ids=str,
)
def test_processors_on_which_tensorflow_takes_onednn(flags, expected, monkeypatch):
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    monkeypatch.setattr(device.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(device, "processor_flags", lambda: frozenset(flags))
    assert device.has_onednn() == expected
