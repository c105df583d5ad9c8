"""Frozen graphs for the converter: ranges and kernels as constants."""

import keras
from keras import ops

from keras_frm.backend.private_hooks import all_layers, maker_of
from keras_frm.graph.graph import Graph, named, rebuild
from keras_frm.quantization.layers.fake_quant import FakeQuant
from keras_frm.quantization.layers.float_boundary import FloatBoundary
from keras_frm.quantization.layers.moving_average import MovingAverageFakeQuant
from keras_frm.quantization.layers.quantize import Quantize
from keras_frm.quantization.layers.quantize_dequantize import (
    QuantizeDequantize,
    WeightQuantizedConvolution,
)
from keras_frm.quantization.layers.quantized_convolution import QuantizedConvolution
from keras_frm.quantization.layers.quantized_layer_norm import QuantizedLayerNorm
from keras_frm.quantization.layers.quantized_leaky_relu import QuantizedLeakyRelu
from keras_frm.quantization.layers.quantized_multiply import QuantizedMultiply
from keras_frm.quantization.layers.quantized_pooling import (
    QuantizedGlobalPooling,
)
from keras_frm.quantization.layers.quantized_resize import QuantizedResize


def scheme_of(model: keras.Model) -> str | None:
    """Return the scheme by which `quantize_aware` made a model, or one inside it.

    None is for a model that it did not make.
    """
    network = getattr(model, "network", model)
    kinds = {type(layer) for layer in all_layers(network)}
    if kinds & {WeightQuantizedConvolution, QuantizeDequantize}:
        return "tensorrt"
    litert = {QuantizedConvolution, MovingAverageFakeQuant, FakeQuant}
    return "litert" if kinds & litert else None


def is_quantized(model: keras.Model) -> bool:
    """Return whether a model is quantised already, this package's way or Keras' own."""
    layers = all_layers(model)
    return scheme_of(model) is not None or any(x.quantization_mode for x in layers)


def freeze(model: keras.Model) -> keras.Model:
    """Return a trained quantised graph with constant ranges and rounded kernels.

    Kernels are rounded in plain layers: the converter finds the same integers again,
    because the largest weight of each channel is on the grid.

    Args:
        model: A Functional model of `trainable_graph`.

    Returns:
        A Functional model of the same function as `model` at inference, in the form
        of `quantize_after_training`.
    """
    return _replace(model, _FROZEN)


def without_fake_quant(model: keras.Model) -> keras.Model:
    """Return the float graph of a quantised one: its own weights, and no rounding.

    Args:
        model: A Functional model of `trainable_graph`.

    Returns:
        A Functional model; beside `freeze(model)` it shows what rounding costs.
    """
    return _replace(model, _FLOAT)


def _replace(model, table):
    """Return a graph with what a table makes of each class of layers."""
    layers = {call.operation: type(call.operation) for call in Graph(model).calls}
    replacements = {
        layer: table[kind](layer) for layer, kind in layers.items() if kind in table
    }
    return rebuild(model, replacements)


class _FrozenConvolution:
    """A convolution on integers as a plain one for each scale its inputs have."""

    def __init__(self, layer: QuantizedConvolution):
        self.layer = layer
        self.by_scale: dict[float, keras.Layer] = {}

    def __call__(self, x, input_scale, output_scale):
        if input_scale not in self.by_scale:
            suffix = f"_{len(self.by_scale)}" if self.by_scale else ""
            self.by_scale[input_scale] = self.layer.frozen(input_scale, suffix)
        return self.by_scale[input_scale](x)


class _FrozenRange:
    """A layer's range for each tensor that has it, named after the tensor."""

    def __init__(self, layer: FakeQuant):
        self.ends = [float(end) for end in layer.ends()]
        self.grid = tuple(float(number) for number in layer.grid())
        self.by_name: dict[
            str, FakeQuant
        ] = {}  # a shared layer's results have one name

    def __call__(self, x, grid=None, only_grid=False, **kwargs):
        if only_grid:
            return self.grid
        maker, taken = maker_of(x)
        if isinstance(maker, FloatBoundary):
            maker, _ = maker_of(taken[0])
        name = f"{maker.name}.range"
        if name not in self.by_name:
            self.by_name[name] = FakeQuant(*self.ends, name=name)
        return self.by_name[name](x)


def _frozen_norm(layer):
    """Return a normalisation that takes a number for its scale."""
    return lambda x, scale: layer(x, scale=scale)


def _float_layer(layer):
    plain = layer.float_layer()
    return lambda x, *scales: plain(x)


def _no_range(layer):
    return lambda x, grid=None, only_grid=False, **_: (x, x, x) if only_grid else x


def _no_quantize(layer):
    return lambda x, scale: x


def _multiply(layer):
    return lambda x, y, *scales: named(ops.multiply(x, y), layer.name)


def _global_pooling(layer):
    plain = keras.layers.GlobalAveragePooling2D(
        keepdims=layer.keepdims, name=layer.name
    )
    return lambda x, *_: plain(x)


def _leaky_relu(layer):
    options = {"negative_slope": layer.negative_slope}
    return lambda x, *scales: named(ops.leaky_relu(x, **options), layer.name)


def _resize(layer):
    options = {"size": layer.size, "interpolation": "bilinear"}
    return lambda x, scale: named(ops.image.resize(x, **options), layer.name)


# The converter requantises these to the range behind them by itself.
_PLAIN = {
    Quantize: _no_quantize,
    QuantizedGlobalPooling: _global_pooling,
    QuantizedLeakyRelu: _leaky_relu,
    QuantizedMultiply: _multiply,
    QuantizedResize: _resize,
}
_FROZEN = _PLAIN | {
    FakeQuant: _FrozenRange,
    MovingAverageFakeQuant: _FrozenRange,
    QuantizedConvolution: _FrozenConvolution,
    QuantizedLayerNorm: _frozen_norm,
}
_FLOAT = _PLAIN | {
    FakeQuant: _no_range,
    MovingAverageFakeQuant: _no_range,
    QuantizedConvolution: _float_layer,
    QuantizedLayerNorm: _float_layer,
    QuantizeDequantize: _no_range,
    WeightQuantizedConvolution: _float_layer,
}
