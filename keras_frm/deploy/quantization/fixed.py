"""The graph an int8 file is made from, out of a trained quantised one."""

import keras

from keras_frm.deploy.graph import Graph, rebuild
from keras_frm.layers.fake_quant import FakeQuant
from keras_frm.layers.float_boundary import FloatBoundary
from keras_frm.layers.quantized_kernel import QuantizedKernel
from keras_frm.layers.tfmot_quantizer import MovingRange


def is_quantization_aware(model: keras.Model) -> bool:
    """Return whether a model, or one inside it, was made by `quantize_aware`."""
    network = getattr(model, "network", model)
    kinds = (QuantizedKernel, MovingRange, FakeQuant)
    return any(isinstance(layer, kinds) for layer in network._flatten_layers())


def is_quantized(model: keras.Model) -> bool:
    """Return whether a model rounds already, this package's way or Keras' own."""
    layers = model._flatten_layers()
    return is_quantization_aware(model) or any(x.quantization_mode for x in layers)


def with_fixed_ranges(model: keras.Model) -> keras.Model:
    """Return a trained quantised graph with constant ranges and rounded kernels.

    Kernels are rounded in plain layers: the converter finds the same integers again,
    because the largest weight of each channel is on the grid.

    Args:
        model: A Functional model with `MovingRange`, `FakeQuant` and
            `QuantizedKernel` layers.

    Returns:
        A Functional model of the same function as `model` at inference, in the form
        of `quantize_after_training`.
    """
    replacements = {}
    for call in Graph(model).calls:
        layer = call.operation
        if isinstance(layer, QuantizedKernel) and layer not in replacements:
            replacements[layer] = _FixedKernel(layer)
        elif isinstance(layer, FakeQuant) and layer not in replacements:
            replacements[layer] = _FixedRange(layer)
    return rebuild(model, replacements)


class _FixedKernel:
    """A layer on integers as a plain one for each step its inputs have."""

    def __init__(self, layer: QuantizedKernel):
        self.layer = layer
        self.made: dict[float, keras.Layer] = {}

    def __call__(self, x, step):
        own = float(x._keras_history.operation.step())  # `step` is not in this graph
        if own not in self.made:
            self.made[own] = self.layer.rounded(own, f"_{len(self.made)}".rstrip("_0"))
        return self.made[own](x)


class _FixedRange:
    """A layer's range for each tensor that has it, named after the tensor."""

    def __init__(self, layer: FakeQuant):
        self.ends = [float(end) for end in layer.ends()]
        self.symmetric = layer.symmetric
        self.made: dict[str, FakeQuant] = {}  # what a shared layer makes has one name

    def __call__(self, x, only_step=False, **kwargs):
        if only_step:
            return x  # in its place: no plain layer reads it
        maker = x._keras_history.operation
        if isinstance(maker, FloatBoundary):
            (x_before,) = maker._inbound_nodes[0].input_tensors
            maker = x_before._keras_history.operation
        name = f"{maker.name}.range"
        if name not in self.made:
            options = {"symmetric": self.symmetric, "name": name}
            self.made[name] = FakeQuant(*self.ends, **options)
        return self.made[name](x)


def without_rounding(model: keras.Model) -> keras.Model:
    """Return a quantised graph with its own weights and no rounding at all.

    Args:
        model: A Functional model with `MovingRange`, `FakeQuant` and
            `QuantizedKernel` layers.

    Returns:
        A Functional model; beside `with_fixed_ranges(model)` it shows what rounding
        costs.
    """
    replacements = {}
    for call in Graph(model).calls:
        layer = call.operation
        if isinstance(layer, QuantizedKernel):
            plain = layer.unrounded()
            replacements[layer] = lambda x, step, plain=plain: plain(x)
        elif isinstance(layer, FakeQuant):
            replacements[layer] = lambda x, **kwargs: x
    return rebuild(model, replacements)
