"""Gradients of networks that train for int8, against float64 arithmetic in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import numerical_gradient
from keras import layers
from test_fake_quant_layers import EAGER_AND_GRAPH, assert_on_grid, rounded

from keras_frm import quantize_aware
from keras_frm.graph.passes.native_depthwise import NativeDepthwiseConv2D
from keras_frm.quantization.layers.fake_quant import FakeQuant
from keras_frm.quantization.layers.kernel_fake_quant import KernelFakeQuant
from keras_frm.quantization.layers.quantized_convolution import QuantizedConvolution

pytest.importorskip("tf_keras")


def image(size):
    return keras.Input((*size, 3), name="image")


def images(count, size, brightest=255, seed=0):
    random = np.random.default_rng(seed)
    return random.uniform(0, brightest, (count, *size, 3)).astype(np.float32)


def convolve(x, kernel, bias, dilation=(1, 1), depthwise=False):
    """A convolution of stride 1 with "same" padding of zeros, in float64."""
    rows, columns = kernel.shape[:2]
    reach = [(n - 1) // 2 * d for n, d in zip((rows, columns), dilation, strict=True)]
    padded = np.pad(x, [(0, 0), *((n, n) for n in reach), (0, 0)])
    height, width = x.shape[1:3]
    total = bias
    for row, column in np.ndindex(rows, columns):
        top, left = row * dilation[0], column * dilation[1]
        seen = padded[:, top : top + height, left : left + width]  # (B, H, W, C)
        tap = kernel[row, column]
        total = total + (seen * tap[:, 0] if depthwise else seen @ tap)
    return total


def kernels_of(model):
    return [y for y in model.layers if isinstance(y, QuantizedConvolution)]


def with_random_biases(model):
    """Let no bias be zero, and no tap of a split kernel."""
    random = np.random.default_rng(3)
    for weight in model.trainable_weights:
        noise = random.normal(0, 0.1, weight.shape)
        weight.assign_add(noise)


def gradients(model, tensors, x, upstream, wrap):
    """Tensors of a training step, and gradients of the image and of all weights."""
    probe = keras.Model(model.input, tensors)

    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            values = keras.tree.flatten(probe(x, training=True))
            total = tf.reduce_sum(values[-1] * upstream)
        return values, tape.gradient(total, [x, *model.trainable_weights])

    return keras.tree.map_structure(lambda t: t.numpy(), wrap(step)(tf.constant(x)))


def reference_gradient(function, arguments, position):
    """Derivative of a scalar function of float64 arrays by one of them."""

    def moved(value):
        return function([*arguments[:position], value, *arguments[position + 1 :]])

    return numerical_gradient(moved, arguments[position])


def difference(actual, expected):
    """Largest error of a gradient, in parts of its largest number."""
    return np.abs(actual - expected).max() / np.abs(expected).max()


def differences(actual, function, arguments):
    """Errors of the gradients by all arguments of a function."""
    return [
        difference(gradient, reference_gradient(function, arguments, position))
        for position, gradient in enumerate(actual)
    ]


# === Rounding ===

SIZE = (5, 6)
LAYERS = {"conv": "relu", "depthwise": "depthwise", "classifier": "classifier"}


def small_net():
    keras.utils.set_random_seed(0)
    x = image(SIZE)
    y = layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv")(x)
    y = layers.ReLU(name="relu")(layers.BatchNormalization()(y))
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(y)
    return keras.Model(x, layers.Conv2D(3, 1, name="classifier")(y))


def straight_through(before, after, inside=True):
    """What rounding counts as: slope 1 inside its range, 0 where it clips."""
    return lambda x: np.where(inside, x + (after - before), after)


def rounded_convolution(layer, rounding, y, kernel, bias):
    """What a layer with a rounded kernel computes, in float64."""
    gain = np.float64(layer.gain)
    by_channel = gain.reshape(kernel.shape[-2:] if layer.depthwise else -1)
    kernel = rounding(kernel) * by_channel
    return convolve(y, kernel, bias * gain, depthwise=layer.depthwise)


class SmallNet:
    """`small_net` in float64, linear around the numbers that it once rounded to."""

    def __init__(self, model, ends, tensors, x):
        self.layers = [model.get_layer(name) for name in LAYERS]
        self.kernel_roundings, self.roundings, self.clipped = [], [], []
        self.active = True  # what the ReLU lets pass
        arguments = [x, *(np.float64(w) for w in model.trainable_weights)]
        _, *weights = self.arguments = arguments
        for layer, kernel in zip(self.layers, weights[::2], strict=True):
            after = np.float64(layer.fake_quant(layer.layer.kernel))
            axes = (0, 1) if layer.depthwise else (0, 1, 2)
            largest = np.abs(kernel).max(axes)
            step = largest / 127
            expected, _ = rounded(kernel, -largest, largest, True, step)
            assert_on_grid(after, expected, step)
            self.kernel_roundings.append(straight_through(kernel, after))
        for number, ((low, high), after) in enumerate(zip(ends, tensors, strict=True)):
            before = self.run(arguments, number)
            if number == 1:
                self.active = before > 0
                before = self.run(arguments, number)
            step = (high - low) / 255
            expected, inside = rounded(before, low, high, narrow=False, step=step)
            assert_on_grid(after, expected, step)
            self.roundings.append(straight_through(before, np.float64(after), inside))
            self.clipped.append(1 - inside.mean())

    def run(self, arguments, roundings=4):
        """Return what comes after so many roundings, before the next."""
        y, *weights = arguments
        steps = zip(
            self.layers, self.kernel_roundings, weights[::2], weights[1::2], strict=True
        )
        for number, step in enumerate(steps):
            if number == roundings:
                return y
            y = rounded_convolution(*step[:2], self.roundings[number](y), *step[2:])
            y = np.where(self.active, y, 0) if number == 0 else y
        return y if roundings < 4 else self.roundings[-1](y)


@EAGER_AND_GRAPH
def test_gradients_follow_the_straight_through_rules(wrap):
    """Numbers of dark images made the ranges: bright ones are clipped."""
    model = quantize_aware(small_net(), representative_data=images(4, SIZE, 120))
    with_random_biases(model)
    x = images(2, SIZE, seed=1)
    upstream = np.random.default_rng(2).normal(size=(2, *SIZE, 3))
    ranges = [model.get_layer(f"{n}.range") for n in ("image", *LAYERS.values())]
    ends = [[float(end) for end in layer.ends()] for layer in ranges]
    # Before its numbers, a layer gives the scalars of its grid.
    tensors = [layer._inbound_nodes[-1].outputs[0] for layer in ranges]
    tensors, actual = gradients(model, tensors, x, upstream.astype("float32"), wrap)
    reference = SmallNet(model, ends, tensors, x.astype(float))
    assert min(reference.clipped[1:]) > 0.01

    def total(arguments):
        return (reference.run(arguments) * upstream).sum()

    assert max(differences(actual, total, reference.arguments)) < 1e-5
    for number in range(1, 4):
        kept, reference.roundings[number] = reference.roundings[number], lambda y: y
        unclipped = reference_gradient(total, reference.arguments, 1)
        assert difference(actual[1], unclipped) > 1e-2
        reference.roundings[number] = kept


# === Split dilated convolutions ===

LARGE = (11, 13)
PARTS = {"inner": (3, 3), "rows": (9, 3), "columns": (3, 9)}


@pytest.fixture
def no_rounding(monkeypatch):
    """The training graph with every rounding handing on what it takes."""
    monkeypatch.setattr(KernelFakeQuant, "call", lambda self, x: x)

    def call(self, x, grid=None, only_grid=False):
        return self.grid() if only_grid else x

    monkeypatch.setattr(FakeQuant, "call", call)


def dilated_net():
    """Two channels of a 7x7 convolution whose outer taps are nine pixels away."""
    keras.utils.set_random_seed(0)
    x = image(LARGE)
    y = layers.Conv2D(2, 1, name="stem")(x)
    y = layers.DepthwiseConv2D(7, padding="same", dilation_rate=3, name="large")(y)
    return keras.Model(x, layers.Conv2D(2, 1, name="classifier")(y))


def dilated_net_forward(model, arguments):
    """What `dilated_net` computes without rounding, its parts as they are."""
    x, *weights = arguments
    given = iter(weights)

    def run(name, y, dilation=(1, 1)):
        layer = model.get_layer(name)
        gain = np.float64(layer.gain)
        kernel, bias = next(given), next(given) if layer.layer.use_bias else 0.0
        by_channel = gain.reshape(kernel.shape[-2:] if layer.depthwise else -1)
        return convolve(y, kernel * by_channel, bias * gain, dilation, layer.depthwise)

    y = run("stem", x)
    y = sum(run(f"large.{name}", y, dilation) for name, dilation in PARTS.items())
    return run("classifier", y)


def dilated_differences(wrap):
    """Errors of the gradients of the training graph of `dilated_net`."""
    model = quantize_aware(dilated_net(), representative_data=images(2, LARGE))
    names = [layer.name for layer in kernels_of(model)]
    assert names == ["stem", *(f"large.{name}" for name in PARTS), "classifier"]
    for name, dilation in PARTS.items():
        assert model.get_layer(f"large.{name}").layer.dilation_rate == dilation
    with_random_biases(model)
    x = images(1, LARGE, seed=1)
    upstream = np.random.default_rng(2).normal(size=(1, *LARGE, 2))
    (y,), actual = gradients(model, [model.output], x, upstream.astype("float32"), wrap)
    arguments = [x.astype(float), *(np.float64(w) for w in model.trainable_weights)]
    expected = dilated_net_forward(model, arguments)
    np.testing.assert_allclose(y, expected, atol=1e-5 * np.abs(expected).max())

    def total(arguments):
        return (dilated_net_forward(model, arguments) * upstream).sum()

    return differences(actual, total, arguments)


@EAGER_AND_GRAPH
@pytest.mark.usefixtures("no_rounding")
def test_gradients_of_split_dilated_convolutions(wrap):
    assert max(dilated_differences(wrap)) < 1e-5


@pytest.mark.usefixtures("no_rounding")
def test_operation_of_the_file_would_train_wrongly(monkeypatch):
    """Why it is in no training graph, and that the comparison sees it."""
    native = NativeDepthwiseConv2D.call
    monkeypatch.setattr(layers.DepthwiseConv2D, "call", native)
    try:
        worst = max(dilated_differences(tf.function))
    except tf.errors.UnimplementedError:  # processors without AVX-512 have no kernel
        worst = np.inf
    assert worst > 0.1
