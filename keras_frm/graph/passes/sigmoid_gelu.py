"""GELU in its sigmoid form, which integer kernels have."""

import keras
import numpy as np
from keras import ops

from keras_frm.graph.convolutions import (
    is_convolution,
    scale_outputs,
    weights_of,
    with_weights,
)
from keras_frm.graph.graph import Call, Graph, named, rebuild
from keras_frm.graph.passes.integer_activations import silu

SLOPE = 1.702


def sigmoid_gelu(model: keras.Model) -> keras.Model:
    """Replace each GELU by x sigmoid(1.702 x), at most 0.021 off the exact one.

    With z = 1.702 x that is z sigmoid(z) / 1.702: the convolution before takes the
    factor and the convolutions after it take the division, through products if need
    be, so that a sigmoid and a product are all that is left.

    Args:
        model: A Functional model of primitive layers.

    Returns:
        A model whose GELUs are approximate; one that is not between convolutions gets
        its factors as operations.

    Example:
    >>> x = keras.Input((8, 8, 3))
    >>> hidden = ops.gelu(keras.layers.Conv2D(4, 1)(x))
    >>> new = sigmoid_gelu(keras.Model(x, keras.layers.Conv2D(2, 1)(hidden)))
    >>> [type(operation).__name__ for operation in new.operations]
    ['InputLayer', 'Conv2D', 'Sigmoid', 'Multiply', 'Conv2D']
    """
    graph = Graph(model)
    replacements = {}
    for call in graph.calls:
        if type(call.operation).__name__ != "Gelu" or graph.is_shared(call):
            continue
        before = graph.maker(call.inputs[0])
        alone = before is not None and graph.only_user(before) is call
        alone = alone and not graph.is_shared(before)
        takers = _takers(graph, call)
        if not alone or not is_convolution(before.operation) or takers is None:
            replacements[call.operation] = _scaled_silu(call.operation.name)
            continue
        layer = replacements.get(before.operation, before.operation)
        channels = len(weights_of(layer)[1])
        factors = np.full(channels, SLOPE)
        replacements[before.operation] = scale_outputs(layer, factors, 0 * factors)
        for taker in takers:
            layer = replacements.get(taker.operation, taker.operation)
            kernel, bias = weights_of(layer)
            replacements[taker.operation] = with_weights(layer, kernel / SLOPE, bias)
        replacements[call.operation] = silu(call.operation.name)
    return rebuild(model, replacements)


def _takers(graph: Graph, call: Call) -> list[Call] | None:
    """Return the convolutions that take a factor of a tensor, None if it escapes."""
    takers = []
    if graph.is_output(call):
        return None
    for user in graph.users(call):
        if graph.is_shared(user):
            return None
        if is_convolution(user.operation):
            takers.append(user)
            continue
        # A product hands one factor on; a square would hand on two.
        linear = type(user.operation).__name__ == "Multiply" and len(user.inputs) == 2
        further = None
        if linear and user.inputs[0] is not user.inputs[1]:
            further = _takers(graph, user)
        if further is None:
            return None
        takers.extend(further)
    return takers


def _scaled_silu(name):
    """Return the sigmoid form of GELU that applies its own factors."""

    def gelu(x):
        slope = named(ops.multiply(x, SLOPE), f"{name}.slope")
        gate = named(ops.sigmoid(slope), f"{name}.sigmoid")
        return named(ops.multiply(x, gate), name)

    return gelu
