"""The graph an int8 file is made from, out of a trained quantised one."""

import keras
from keras import ops

from keras_frm.backend.private_hooks import all_layers, maker_of
from keras_frm.graph.graph import Graph, named, rebuild
from keras_frm.quantization.layers.fake_quant import FakeQuant
from keras_frm.quantization.layers.float_boundary import FloatBoundary
from keras_frm.quantization.layers.quantized_entry import QuantizedEntry
from keras_frm.quantization.layers.quantized_kernel import QuantizedKernel
from keras_frm.quantization.layers.quantized_layer_norm import QuantizedLayerNorm
from keras_frm.quantization.layers.quantized_multiply import QuantizedMultiply
from keras_frm.quantization.layers.quantized_pooling import QuantizedGlobalPooling
from keras_frm.quantization.layers.quantized_resize import QuantizedResize
from keras_frm.quantization.layers.tfmot_quantizer import MovingRange


def is_quantization_aware(model: keras.Model) -> bool:
    """Return whether a model, or one inside it, was made by `quantize_aware`."""
    network = getattr(model, "network", model)
    kinds = (QuantizedKernel, MovingRange, FakeQuant)
    return any(isinstance(layer, kinds) for layer in all_layers(network))


def is_quantized(model: keras.Model) -> bool:
    """Return whether a model rounds already, this package's way or Keras' own."""
    layers = all_layers(model)
    return is_quantization_aware(model) or any(x.quantization_mode for x in layers)


def with_fixed_ranges(model: keras.Model) -> keras.Model:
    """Return a trained quantised graph with constant ranges and rounded kernels.

    Kernels are rounded in plain layers: the converter finds the same integers again,
    because the largest weight of each channel is on the grid.

    Args:
        model: A Functional model of `trainable_graph`.

    Returns:
        A Functional model of the same function as `model` at inference, in the form
        of `quantize_after_training`.
    """
    return _with_replaced(model, _FIXED)


def without_rounding(model: keras.Model) -> keras.Model:
    """Return a quantised graph with its own weights and no rounding at all.

    Args:
        model: A Functional model of `trainable_graph`.

    Returns:
        A Functional model; beside `with_fixed_ranges(model)` it shows what rounding
        costs.
    """
    return _with_replaced(model, _UNROUNDED)


def _with_replaced(model, making):
    """Return a graph with what a table makes of each class of layers."""
    layers = {call.operation: type(call.operation) for call in Graph(model).calls}
    replacements = {
        layer: making[kind](layer) for layer, kind in layers.items() if kind in making
    }
    return rebuild(model, replacements)


class _FixedKernel:
    """A layer on integers as a plain one for each step its inputs have."""

    def __init__(self, layer: QuantizedKernel):
        self.layer = layer
        self.made: dict[float, keras.Layer] = {}

    def __call__(self, x, step, output_step):
        if step not in self.made:
            suffix = f"_{len(self.made)}" if self.made else ""
            self.made[step] = self.layer.rounded(step, suffix)
        return self.made[step](x)


class _FixedRange:
    """A layer's range for each tensor that has it, named after the tensor."""

    def __init__(self, layer: FakeQuant):
        self.ends = [float(end) for end in layer.ends()]
        self.symmetric = layer.symmetric
        self.grid = tuple(float(number) for number in layer.grid())
        self.made: dict[str, FakeQuant] = {}  # what a shared layer makes has one name

    def __call__(self, x, grid=None, only_grid=False, **kwargs):
        if only_grid:
            return self.grid
        maker, taken = maker_of(x)
        if isinstance(maker, FloatBoundary):
            maker, _ = maker_of(taken[0])
        name = f"{maker.name}.range"
        if name not in self.made:
            options = {"symmetric": self.symmetric, "name": name}
            self.made[name] = FakeQuant(*self.ends, **options)
        return self.made[name](x)


def _fixed_norm(layer):
    """Return a normalisation that takes a number for its step."""
    return lambda x, step: layer(x, step=step)


def _unrounded(layer):
    """Return the layer that a quantised one was made of."""
    plain = layer.unrounded()
    return lambda x, *steps: plain(x)


def _without_range(layer):
    """Return what hands on what a range would round."""
    return lambda x, grid=None, only_grid=False, **_: (x, x, x) if only_grid else x


def _entry(layer):
    """Return what hands on what enters the integers."""
    return lambda x, step: x


def _product(layer):
    """Return a plain product."""
    return lambda x, y, *steps: named(ops.multiply(x, y), layer.name)


def _pooling(layer):
    """Return a plain mean over all positions."""
    plain = keras.layers.GlobalAveragePooling2D(
        keepdims=layer.keepdims, name=layer.name
    )
    return lambda x, step: plain(x)


def _resize(layer):
    """Return a plain resizing."""
    options = {"size": layer.size, "interpolation": "bilinear"}
    return lambda x, step: named(ops.image.resize(x, **options), layer.name)


# Operations whose rounding is that of the range behind them, in the converter's eyes.
_PLAIN = {
    QuantizedEntry: _entry,
    QuantizedGlobalPooling: _pooling,
    QuantizedMultiply: _product,
    QuantizedResize: _resize,
}
_FIXED = _PLAIN | {
    FakeQuant: _FixedRange,
    MovingRange: _FixedRange,
    QuantizedKernel: _FixedKernel,
    QuantizedLayerNorm: _fixed_norm,
}
_UNROUNDED = _PLAIN | {
    FakeQuant: _without_range,
    MovingRange: _without_range,
    QuantizedKernel: _unrounded,
    QuantizedLayerNorm: _unrounded,
}
