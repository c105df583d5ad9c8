"""Activations as operations that integer kernels have."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from keras_frm.graph.convolutions import can_scale_outputs, scale_outputs
from keras_frm.graph.graph import Call, Graph, named, rebuild
from keras_frm.graph.layer_scales import constant_scale


def integer_activations(model: keras.Model) -> keras.Model:
    """Write activations as sums, products, sigmoids and ReLUs.

    SiLU is x sigmoid(x); hard sigmoid is relu6(x + 3) / 6, and hard SiLU (hard swish)
    x times that; PReLU is a x + relu((1 - a) x) with a slope a for each channel. A
    convolution before takes up the first factor and offset where nothing else reads it.

    Args:
        model: A Functional model of primitive layers, its activations apart.

    Returns:
        A model of the same function. A PReLU with a slope for each position stays.

    Example:
    >>> x = keras.Input((8, 8, 3))
    >>> y = ops.hard_silu(keras.layers.Conv2D(4, 1)(x))
    >>> new = integer_activations(keras.Model(x, y))
    >>> [type(operation).__name__ for operation in new.operations]
    ['InputLayer', 'Conv2D', 'Rescaling', 'Relu6', 'Multiply']
    """
    graph = Graph(model)
    replacements = {}
    for call in graph.calls:
        write = _WRITTEN.get(type(call.operation).__name__)
        if write is None or graph.is_shared(call):
            continue
        written = write(call)
        if written is None:
            continue
        function, (factor, offset) = written
        before = graph.maker(call.inputs[0])
        if _takes_affine(graph, before, call, replacements):
            channels = call.outputs[0].shape[-1]
            replacements[before.operation] = scale_outputs(
                before.operation, np.full(channels, factor), np.full(channels, offset)
            )
            replacements[call.operation] = function
        else:
            affine = _affine(f"{call.operation.name}.affine", factor, offset)
            replacements[call.operation] = _composed(affine, function)
    return rebuild(model, replacements)


def silu(name: str) -> Callable:
    """Return what computes x sigmoid(x), with a name for its product."""

    def product(x):
        gate = named(ops.sigmoid(x), f"{name}.sigmoid")
        return named(ops.multiply(x, gate), name)

    return product


# Each returns the function of an affine map of the input, and the map.

_IDENTITY = (1.0, 0.0)


def _silu(call: Call):
    return silu(call.operation.name), _IDENTITY


def _hard_sigmoid(call: Call):
    name = call.operation.name
    sixth = _affine(name, 1 / 6, 0.0)
    return lambda x: sixth(named(ops.relu6(x), f"{name}.relu6")), (1.0, 3.0)


def _hard_silu(call: Call):
    name = call.operation.name
    shift = _affine(f"{name}.shift", 6.0, 3.0)

    def product(sixth):
        gate = named(ops.relu6(shift(sixth)), f"{name}.relu6")
        return named(ops.multiply(sixth, gate), name)

    return product, (1 / 6, 0.0)


def _prelu(call: Call):
    layer = call.operation
    slope, channels = np.asarray(layer.alpha, float), call.inputs[0].shape[-1]
    if slope.size != 1 and (slope.size != channels or slope.shape[-1] != channels):
        return None
    slope = np.broadcast_to(slope.ravel(), channels)
    rest = 1 - slope
    below = constant_scale(f"{layer.name}.slope", slope)
    above = constant_scale(f"{layer.name}.rest", np.abs(rest))
    sign = constant_scale(f"{layer.name}.sign", np.sign(rest), learned=False)

    def total(x):
        # A ReLU after a factor is one with its convolution.
        positive = named(ops.relu(above(x)), f"{layer.name}.relu")
        positive = sign(positive) if np.any(rest < 0) else positive
        return named(ops.add(below(x), positive), layer.name)

    return total, _IDENTITY


_WRITTEN = {
    "Silu": _silu,
    "HardSigmoid": _hard_sigmoid,
    "HardSilu": _hard_silu,
    "PReLU": _prelu,
}


def _takes_affine(graph, before, call, replacements):
    """Return whether a convolution before serves this call only."""
    return (
        before is not None
        and can_scale_outputs(before.operation)
        and before.operation not in replacements
        and not graph.is_shared(before)
        and graph.only_user(before) is call
    )


def _affine(name, factor, offset):
    return keras.layers.Rescaling(factor, offset, name=name)


def _composed(affine, function):
    if (affine.scale, affine.offset) == _IDENTITY:
        return function
    return lambda x: function(affine(x))
