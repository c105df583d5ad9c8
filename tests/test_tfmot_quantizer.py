"""TFMOT's quantizers in Keras 3: numbers, gradients, training, files."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_frm.deploy.convert import to_tflite
from keras_frm.layers import tfmot_quantizer
from keras_frm.layers.fake_quant import FakeQuant
from keras_frm.layers.tfmot_quantizer import KernelQuant, MovingRange

pytest.importorskip("tf_keras")

EAGER_AND_GRAPH = pytest.mark.parametrize("wrap", [lambda f: f, tf.function])


def array(*shape, scale=1.0, seed=0):
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


def rounded(x, low, high, narrow):
    """Return a float64 array on the grid of a range, and where it is inside."""
    x, low, high = (np.asarray(a, np.float64) for a in (x, low, high))
    first = 1 if narrow else 0
    step = (high - low) / (255 - first)
    zero = np.clip(np.floor(first - low / step + 0.5), first, 255)
    low, high = (first - zero) * step, (255 - zero) * step
    inside = (x >= low - 1e-6 * step) & (x <= high + 1e-6 * step)
    return np.floor((x.clip(low, high) - low) / step + 0.5) * step + low, inside


def run(layer, x, upstream, wrap, **options):
    """Return a layer's output and the gradient of its product with an array."""

    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, **options)
            total = tf.reduce_sum(y * upstream)
        return y, tape.gradient(total, x)

    return [tensor.numpy() for tensor in wrap(step)(tf.constant(x))]


def assert_on_grid(actual, expected, step):
    """Compare; a number half way between two steps may go to either."""
    error = np.abs(actual - expected) / step
    assert (error > 1e-3).mean() < 0.01
    assert error.max() < 1.01


# === MovingRange ===


@EAGER_AND_GRAPH
@pytest.mark.parametrize("training", [True, False])
def test_activations_and_their_gradients_are_those_of_float64(wrap, training):
    x, upstream = array(2, 5, 7, 3, scale=2), array(2, 5, 7, 3, seed=1)
    layer = MovingRange(-1.0, 2.0)
    y, gradient = run(layer, x, upstream, wrap, training=training)
    ends = [-1 + 1e-3 * (1 + x.min()), 2 + 1e-3 * (x.max() - 2)]
    ends = ends if training else [-1, 2]
    np.testing.assert_allclose(layer.weights, ends, rtol=1e-6)
    expected, inside = rounded(x, *ends, narrow=False)
    assert_on_grid(y, expected, 3 / 255)
    assert 0.2 < inside.mean() < 0.8
    np.testing.assert_array_equal(gradient, upstream * inside)


def test_range_of_positive_numbers_starts_at_zero():
    layer = MovingRange(0.5, 2.0)
    layer(np.full((1, 4), 3.0), training=True)
    np.testing.assert_allclose(layer.weights, [0, 2.001], rtol=1e-6)


def small_net(dtype=None):
    image = keras.Input((6, 6, 3))
    x = MovingRange(-1.0, 1.0, name="range", dtype=dtype)(image)
    x = keras.layers.Conv2D(4, 3, dtype=dtype)(x)
    x = MovingRange(-1.0, 1.0, name="second", dtype=dtype)(x)
    x = keras.layers.GlobalAveragePooling2D(dtype=dtype)(x)
    model = keras.Model(image, keras.layers.Dense(1, dtype="float32")(x))
    model.compile("adam", "mse")
    return model


def ends_of(model, name="range"):
    return np.array([float(weight) for weight in model.get_layer(name).weights])


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_fit_moves_ranges_and_inference_does_not(dtype):
    x, y = array(4, 6, 6, 3, scale=9), array(4, 1)
    model = small_net(dtype)
    model.predict(x, verbose=0)
    model.evaluate(x, y, verbose=0)
    np.testing.assert_array_equal(ends_of(model), [-1, 1])
    model.fit(x, y, epochs=3, verbose=0)
    extremes = np.array([x.min(), x.max()])
    expected = extremes + (np.array([-1, 1]) - extremes) * 0.999**3
    np.testing.assert_allclose(ends_of(model), expected, rtol=1e-3)
    assert {w.dtype for w in model.get_layer("range").weights} == {"float32"}


def test_frozen_range_stays_and_another_moves():
    x, y = array(4, 6, 6, 3, scale=9), array(4, 1)
    model = small_net()
    model.get_layer("range").trainable = False
    model.compile("adam", "mse")
    model.fit(x, y, verbose=0)
    np.testing.assert_array_equal(ends_of(model), [-1, 1])
    assert ends_of(model, "second")[1] != 1


def test_loaded_network_goes_on_like_the_saved_one(tmp_path):
    x, y = array(4, 6, 6, 3, scale=9), array(4, 1)
    model = small_net()
    model.get_layer("second").trainable = False
    model.compile("adam", "mse")
    model.fit(x, y, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(ends_of(loaded), ends_of(model))
    assert not loaded.get_layer("second").trainable
    for each in (model, loaded):
        each.fit(x, y, epochs=2, shuffle=False, verbose=0)
    for weight, other in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_allclose(weight, other, rtol=1e-5, atol=1e-7)


# === KernelQuant ===


@EAGER_AND_GRAPH
@pytest.mark.parametrize(
    ("shape", "depthwise"),
    [
        ((3, 3, 6, 8), False),  # Conv2D
        ((1, 1, 8, 1), False),  # Conv2D, one output channel
        ((3, 3, 8, 1), True),  # DepthwiseConv2D
        ((3, 3, 4, 2), True),  # DepthwiseConv2D, multiplier 2
        ((3, 6, 8), False),  # Conv1D
        ((6, 8), False),  # Dense
    ],
)
def test_kernels_and_their_gradients_are_those_of_float64(wrap, shape, depthwise):
    axes = (0, 1) if depthwise else tuple(range(len(shape) - 1))
    scales = np.linspace(0.1, 3, 8, dtype=np.float32)
    kernel = array(*shape)
    if kernel.shape[-1] != 1 or depthwise:
        kernel *= scales.reshape(shape[-2:] if depthwise else shape[-1:])
    largest = np.abs(kernel).max(axes)
    expected, _ = rounded(kernel, -largest, largest, narrow=True)
    upstream = array(*shape, seed=1)
    y, gradient = run(KernelQuant(depthwise), kernel, upstream, wrap)
    assert_on_grid(y, expected, largest / 127)
    np.testing.assert_array_equal(gradient, upstream)


def test_kernel_channel_of_zeros():
    kernel = np.array([[0, 0.5], [0, 1]], np.float32)
    np.testing.assert_allclose(KernelQuant()(kernel), kernel, atol=0.005)


def test_kernel_range_follows_an_assignment_without_a_training_step():
    kernel = keras.Variable(array(3, 3, 2, 4))
    layer = KernelQuant()
    layer(kernel)
    assert layer.weights == []
    kernel.assign(10 * array(3, 3, 2, 4, seed=1))
    steps = np.abs(kernel).max((0, 1, 2)) / 127
    assert (np.abs(layer(kernel) - kernel) <= 0.51 * steps).all()


@pytest.mark.parametrize(
    ("layer", "axis"),
    [
        (keras.layers.Conv2D(5, 3), 0),
        (keras.layers.DepthwiseConv2D(3), 3),
        (keras.layers.DepthwiseConv2D(3, depth_multiplier=2), 3),
        (keras.layers.Dense(5), 0),
    ],
)
def test_file_has_the_rounded_kernel(layer, axis):
    image = keras.Input(batch_shape=(1, 8, 8, 3))
    model = keras.Model(image, FakeQuant(-3, 3)(layer(FakeQuant(-3, 3)(image))))
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    layer.kernel.assign(KernelQuant(depthwise)(layer.kernel))
    interpreter = tf.lite.Interpreter(model_content=to_tflite(model, "int8"))
    interpreter.allocate_tensors()
    expected = np.asarray(layer.kernel)
    channels = expected[0, 0].size if depthwise else expected.shape[-1]
    expected = np.moveaxis(expected.reshape(-1, channels), -1, axis and -1)
    (stored,) = (
        interpreter.get_tensor(d["index"]).reshape(expected.shape)
        * _column(d["quantization_parameters"]["scales"], axis)
        for d in interpreter.get_tensor_details()
        if d["dtype"] == np.int8 and np.prod(d["shape"]) == expected.size
    )
    np.testing.assert_allclose(stored, expected, rtol=1e-6, atol=1e-8)


def _column(scales, axis):
    """Return the scales of channels that are the first or the last axis of a matrix."""
    return scales if axis else scales[:, None]


# === The package ===


def test_missing_package_is_named_in_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_model_optimization", None)
    tfmot_quantizer._quantizers.cache_clear()
    with pytest.raises(
        ImportError, match=r"tf-keras: pip install 'keras_frm\[train\]'"
    ):
        MovingRange(0.0, 1.0)(np.zeros((1, 2)))
    assert "TF_USE_LEGACY_KERAS" not in os.environ


TWO_REPLICAS = """
import os
import keras
import numpy as np
import tensorflow as tf
from keras_frm.layers.tfmot_quantizer import MovingRange

device = tf.config.list_physical_devices("CPU")[0]
logical = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(device, logical)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    layer = MovingRange(-1.0, 1.0)
    model = keras.Sequential([keras.Input((2,)), layer, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
x = np.array([[-2, 5], [-4, 9]], np.float32)
model.fit(x, x[:, :1], batch_size=2, verbose=0)
for weight in layer.weights:
    print([float(v) for v in strategy.experimental_local_results(weight.value)])
print(os.environ.get("TF_USE_LEGACY_KERAS"), tf.keras.Model is keras.Model)
"""


@pytest.mark.slow
def test_two_replicas_have_one_range_and_keras_stays_keras_3():
    result = subprocess.run(
        [sys.executable, "-c", TWO_REPLICAS], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    low, high, process = result.stdout.splitlines()[-3:]
    # The means of the replicas' extremes are -3 and 7.
    np.testing.assert_allclose(json.loads(low), [-1.002, -1.002], rtol=1e-6)
    np.testing.assert_allclose(json.loads(high), [1.006, 1.006], rtol=1e-6)
    assert process == "None True"
