"""TFMOT's quantizers in Keras 3: numbers, gradients, training, files."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import twelve_bits

from keras_frm.export.tflite.convert import to_tflite
from keras_frm.quantization.layers.fake_quant import FakeQuant
from keras_frm.quantization.layers.kernel_fake_quant import KernelFakeQuant
from keras_frm.quantization.layers.moving_average import MovingAverageFakeQuant
from keras_frm.quantization.layers.quantized_convolution import QuantizedConvolution
from keras_frm.quantization.layers.tfmot import tfmot_quantizers
from keras_frm.targets import target_of

pytest.importorskip("tf_keras")

EAGER_AND_GRAPH = pytest.mark.parametrize("wrap", [lambda f: f, tf.function])


def array(*shape, scale=1.0, seed=0):
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


def rounded(x, low, high, narrow, step=None):
    """Return a float64 array on the grid of a range, and where it is inside."""
    x, low, high = (np.asarray(a, np.float64) for a in (x, low, high))
    first = 1 if narrow else 0
    step = twelve_bits((high - low) / (255 - first)) if step is None else step
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


def mean_extremes(x):
    """Return the means over images of the smallest and of the largest number."""
    rows = x.reshape(len(x), -1).astype(np.float64)
    return rows.min(axis=1).mean(), rows.max(axis=1).mean()


def assert_on_grid(actual, expected, step):
    """Compare; a number half way between two steps may go to either."""
    error = np.abs(actual - expected) / step
    assert (error > 1e-3).mean() < 0.01
    assert error.max() < 1.01


# === MovingAverageFakeQuant ===


@EAGER_AND_GRAPH
@pytest.mark.parametrize("training", [True, False])
def test_activations_and_their_gradients_are_those_of_float64(wrap, training):
    x, upstream = array(2, 5, 7, 3, scale=2), array(2, 5, 7, 3, seed=1)
    layer = MovingAverageFakeQuant(-1.0, 2.0)
    y, gradient = run(layer, x, upstream, wrap, training=training)
    low, high = mean_extremes(x)
    ends = [-1 + 1e-3 * (1 + low), 2 + 1e-3 * (high - 2)] if training else [-1, 2]
    np.testing.assert_allclose(layer.ends(), ends, rtol=1e-6)
    expected, inside = rounded(x, *ends, narrow=False)
    assert_on_grid(y, expected, 3 / 255)
    assert 0.2 < inside.mean() < 0.8
    np.testing.assert_array_equal(gradient, upstream * inside)


def test_range_of_positive_numbers_starts_at_zero():
    layer = MovingAverageFakeQuant(0.5, 2.0)
    layer(np.full((1, 4), 3.0), training=True)
    np.testing.assert_allclose(layer.ends(), [0, 2.001], rtol=1e-6)


def test_range_moves_by_the_mean_of_the_images_extremes():
    x = array(6, 5, 7, 3, scale=2) * np.arange(1, 7).reshape(6, 1, 1, 1)
    together = MovingAverageFakeQuant(-1.0, 1.0)
    together(x, training=True)
    low, high = np.mean([[image.min(), image.max()] for image in x], axis=0)
    expected = [-1 + 1e-3 * (low + 1), 1 + 1e-3 * (high - 1)]
    np.testing.assert_allclose(together.ends(), expected, rtol=1e-6)
    once, repeated = (
        MovingAverageFakeQuant(-1.0, 1.0),
        MovingAverageFakeQuant(-1.0, 1.0),
    )
    once(x[:1], training=True)
    repeated(x[:1].repeat(6, axis=0), training=True)
    np.testing.assert_allclose(repeated.ends(), once.ends(), rtol=1e-6)


@EAGER_AND_GRAPH
def test_members_move_alone_and_the_range_covers_all(wrap):
    layer = MovingAverageFakeQuant(-1.0, 1.0, members=3)
    inputs = [array(2, 4, 3, scale=scale, seed=scale) for scale in (1, 5, 3)]

    def step():
        return [layer(x, member=i, training=True) for i, x in enumerate(inputs)]

    run_step = wrap(step)
    for _ in range(2):
        run_step()
    own = np.stack([layer.minima, layer.maxima], axis=-1)
    for x, ends in zip(inputs, own, strict=True):
        extremes = np.array(mean_extremes(x))
        expected = extremes + (np.array([-1, 1]) - extremes) * 0.999**2
        np.testing.assert_allclose(ends, expected, rtol=1e-5)
    assert len({low for low, _ in own.tolist()}) == 3
    covered = [own[:, 0].min(), own[:, 1].max()]
    np.testing.assert_array_equal(layer.ends(), covered)
    # A member inside its own ends is rounded to the steps of all.
    x = np.linspace(-0.5, 0.5, 40, dtype=np.float32)[None]
    expected, _ = rounded(x, *covered, narrow=False)
    assert_on_grid(np.asarray(layer(x, member=0)), expected, np.ptp(covered) / 255)


@EAGER_AND_GRAPH
@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("freeze_after", [0, 2])
def test_range_stays_after_its_steps(wrap, members, freeze_after):
    layer = MovingAverageFakeQuant(
        -1.0, 1.0, members=members, freeze_after=freeze_after
    )
    x = tf.constant(array(2, 4, 3, scale=5))

    def step():
        return [layer(x, member=i, training=True) for i in range(members)]

    run_step, seen = wrap(step), []
    for _ in range(4):
        run_step()
        seen.append(np.array(layer.weights[:-1]))
    extremes = np.array([[end] * members for end in mean_extremes(x.numpy())])
    start = np.array([[-1], [1]])
    for number, ends in enumerate(seen, 1):
        passed = min(number, freeze_after)
        expected = extremes + (start - extremes) * 0.999**passed
        np.testing.assert_allclose(ends, expected, rtol=1e-5)
    assert int(layer.steps.value) == 4


@EAGER_AND_GRAPH
def test_members_of_a_step_are_rounded_to_the_range_before_it(wrap):
    layer = MovingAverageFakeQuant(-1.0, 1.0, members=2)
    x = tf.constant(array(2, 4, 3, scale=500))
    layer.build(x.shape)

    def step():
        grid = layer(x, only_grid=True)
        both = [layer(x, grid, member=i, training=True) for i in range(2)]
        return grid, both

    before = [float(number) for number in layer.grid()]
    grid, both = wrap(step)()
    np.testing.assert_array_equal(grid, before)
    for y in both:
        assert np.ptp(y) == before[1] - before[0]
    assert layer.grid()[1] > before[1]


@pytest.mark.parametrize(
    "layer",
    [
        MovingAverageFakeQuant(-1.0, 2.0),
        MovingAverageFakeQuant(-1.0, 2.0, members=3, freeze_after=7, name="a"),
        FakeQuant(-1.0, 2.0),
        KernelFakeQuant(depthwise=True),
        QuantizedConvolution(keras.layers.DepthwiseConv2D(3, name="d"), name="d"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_config_comes_back(layer):
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    again = keras.saving.deserialize_keras_object(
        json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    )
    assert again.get_config() == layer.get_config()
    x = array(2, 8, 8, 3)
    if not isinstance(layer, KernelFakeQuant):
        again.build(x.shape)
        layer.build(x.shape)
        again.set_weights(layer.get_weights())
        scales = {"input_scale": 0.5, "output_scale": 0.1}
        more = scales if isinstance(layer, QuantizedConvolution) else {}
        np.testing.assert_array_equal(again(x, **more), layer(x, **more))


def small_net(dtype=None):
    image = keras.Input((6, 6, 3))
    x = MovingAverageFakeQuant(-1.0, 1.0, name="range", dtype=dtype)(image)
    x = keras.layers.Conv2D(4, 3, dtype=dtype)(x)
    x = MovingAverageFakeQuant(-1.0, 1.0, name="second", dtype=dtype)(x)
    x = keras.layers.GlobalAveragePooling2D(dtype=dtype)(x)
    model = keras.Model(image, keras.layers.Dense(1, dtype="float32")(x))
    model.compile("adam", "mse")
    return model


def ends_of(model, name="range"):
    return np.array([float(end) for end in model.get_layer(name).ends()])


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_fit_moves_ranges_and_inference_does_not(dtype):
    x, y = array(4, 6, 6, 3, scale=9), array(4, 1)
    model = small_net(dtype)
    model.predict(x, verbose=0)
    model.evaluate(x, y, verbose=0)
    np.testing.assert_array_equal(ends_of(model), [-1, 1])
    model.fit(x, y, epochs=3, verbose=0)
    extremes = np.array(mean_extremes(x))
    expected = extremes + (np.array([-1, 1]) - extremes) * 0.999**3
    np.testing.assert_allclose(ends_of(model), expected, rtol=1e-3)
    *ends, _ = model.get_layer("range").weights
    assert {end.dtype for end in ends} == {"float32"}
    assert model.get_layer("range").trainable_weights == []


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


# === KernelFakeQuant ===


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
    expected, _ = rounded(kernel, -largest, largest, True, step=largest / 127)
    upstream = array(*shape, seed=1)
    y, gradient = run(KernelFakeQuant(depthwise), kernel, upstream, wrap)
    assert_on_grid(y, expected, largest / 127)
    np.testing.assert_array_equal(gradient, upstream)


def test_kernel_channel_of_zeros():
    kernel = np.array([[0, 0.5], [0, 1]], np.float32)
    np.testing.assert_allclose(KernelFakeQuant()(kernel), kernel, atol=0.005)


def test_kernel_range_follows_an_assignment_without_a_training_step():
    kernel = keras.Variable(array(3, 3, 2, 4))
    layer = KernelFakeQuant()
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
    layer.kernel.assign(KernelFakeQuant(depthwise)(layer.kernel))
    interpreter = tf.lite.Interpreter(model_content=to_tflite(model, target_of("int8")))
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
    tfmot_quantizers.cache_clear()
    with pytest.raises(
        ImportError, match=r"tf-keras: pip install 'keras_frm\[train\]'"
    ):
        KernelFakeQuant()(np.zeros((1, 2)))
    assert "TF_USE_LEGACY_KERAS" not in os.environ


TWO_REPLICAS = """
import os
import keras
import numpy as np
import tensorflow as tf
from keras_frm.quantization.layers.moving_average import MovingAverageFakeQuant

device = tf.config.list_physical_devices("CPU")[0]
logical = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(device, logical)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    free = MovingAverageFakeQuant(-1.0, 1.0)
    frozen = MovingAverageFakeQuant(-1.0, 1.0, freeze_after=1)
    image = keras.Input((2,))
    model = keras.Model(image, keras.layers.Dense(1)(frozen(image) + free(image)))
    model.compile("sgd", "mse")
x = np.array([[-2, 5], [-4, 9]] * 3, np.float32)
model.fit(x, x[:, :1], batch_size=2, shuffle=False, verbose=0)
for layer in (free, frozen):
    for weight in layer.weights:
        values = strategy.experimental_local_results(weight.value)
        print([float(np.squeeze(value)) for value in values])
print(os.environ.get("TF_USE_LEGACY_KERAS"), tf.keras.Model is keras.Model)
"""


@pytest.mark.slow
def test_two_replicas_have_one_range_and_keras_stays_keras_3():
    result = subprocess.run(
        [sys.executable, "-c", TWO_REPLICAS], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    *values, process = result.stdout.splitlines()[-7:]
    free_low, free_high, free_steps, low, high, steps = map(json.loads, values)
    # The means of the replicas' extremes are -3 and 7.
    moved = [-3 + 2 * 0.999**3] * 2, [7 - 6 * 0.999**3] * 2
    np.testing.assert_allclose((free_low, free_high), moved, rtol=1e-6)
    np.testing.assert_allclose((low, high), ([-1.002] * 2, [1.006] * 2), rtol=1e-6)
    assert (free_steps, steps) == ([0, 0], [3, 3])  # counted where they matter
    assert process == "None True"
