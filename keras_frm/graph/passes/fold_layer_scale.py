"""Layer scales into the convolutions before them."""

import keras
import numpy as np
from keras import ops

from keras_frm.graph.convolutions import can_scale_outputs, scale_outputs
from keras_frm.graph.graph import Graph, named, rebuild, tensors_in, unchanged
from keras_frm.graph.layer_scales import constant_scale, is_addition
from keras_frm.layers.blocks.layer_scale import LayerScale


def fold_layer_scale(model: keras.Model) -> keras.Model:
    """Fold each layer scale into what makes its input.

    A convolution takes the factors into its weights, another layer scale multiplies
    its own by them, and an addition passes them on to both of its sides.

    Args:
        model: A Functional model of primitive layers.

    Returns:
        A model of the same function; a layer scale after anything else stays.

    Example:
    >>> x = keras.Input((8, 8, 3))
    >>> folded = fold_layer_scale(
    ...     keras.Model(x, LayerScale()(keras.layers.Conv2D(4, 3)(x)))
    ... )
    >>> [type(layer).__name__ for layer in folded.layers]
    ['InputLayer', 'Conv2D']
    """
    while replacements := _foldable(Graph(model)):
        model = rebuild(model, replacements)
    return model


def _foldable(graph):
    """Return the replacements for the layer scales that can fold now."""
    replacements = {}
    for call in graph.calls:
        if not isinstance(call.operation, LayerScale):
            continue
        before = graph.maker(call.inputs[0])
        if before is None or graph.is_shared(before) or graph.is_shared(call):
            continue
        if graph.only_user(before) is not call or before.operation in replacements:
            continue
        folded = _folded(before, call.operation)
        if folded is not None:
            replacements[before.operation] = folded
            replacements[call.operation] = unchanged
    return replacements


def _folded(before, scale):
    """Return what computes a call and the layer scale after it, if known."""
    operation = before.operation
    factors = np.asarray(scale.gamma, np.float64)
    if can_scale_outputs(operation):
        return scale_outputs(operation, factors, np.zeros_like(factors))
    if isinstance(operation, LayerScale):
        own = np.asarray(operation.gamma, np.float64)
        return constant_scale(operation.name, own * factors)
    channels = [tensor.shape[-1] for tensor in before.inputs]
    if is_addition(operation) and channels == 2 * [len(factors)]:
        sides = [constant_scale(f"{scale.name}.side_{i}", factors) for i in (1, 2)]

        def add(*args):
            terms = zip(sides, tensors_in(args), strict=True)
            return named(ops.add(*(side(x) for side, x in terms)), operation.name)

        return add
    return None
