"""A scaled branch and the residual around it, with one addition for both."""

import keras
import numpy as np

from keras_frm.graph.graph import Call, Graph, rebuild, tensors_in
from keras_frm.graph.layer_scales import constant_scale, is_addition
from keras_frm.layers.blocks.layer_scale import LayerScale


def fold_residual_scale(model: keras.Model) -> keras.Model:
    """Merge a residual around a scaled branch of the same tensor: x + (x g + y).

    It becomes x (1 + g) + y, one addition less.

    Args:
        model: A Functional model of primitive layers.

    Returns:
        A model of the same function.

    Example:
    >>> x = keras.Input((8, 8, 4))
    >>> y = keras.layers.Conv2D(4, 1)(x)
    >>> model = keras.Model(x, x + (LayerScale()(x) + y))
    >>> new = fold_residual_scale(model)
    >>> [sum(map(is_addition, each.operations)) for each in (model, new)]
    [2, 1]
    """
    graph = Graph(model)
    replacements = {}
    for call in graph.calls:
        scale = _residual_scale(graph, call)
        if scale is None:
            continue
        factors = 1 + np.asarray(scale.operation.gamma, np.float64)
        replacements[scale.operation] = constant_scale(scale.operation.name, factors)
        # The inner addition is the sum now; the outer one hands it on.
        inner = next(graph.maker(t) for t in call.inputs if t is not scale.inputs[0])
        position = [graph.maker(t) is inner for t in call.inputs].index(True)
        replacements[call.operation] = _pick(position)
    return rebuild(model, replacements)


def _residual_scale(graph: Graph, call: Call) -> Call | None:
    """Return the layer scale in x + (scale(x) + y), None where a call is none."""
    if not is_addition(call.operation) or graph.is_shared(call):
        return None
    if len(call.inputs) != 2:
        return None
    for tensor in call.inputs:
        inner = graph.maker(tensor)
        if inner is None or not is_addition(inner.operation):
            continue
        if graph.only_user(inner) is not call:
            continue
        outer = [other for other in call.inputs if other is not tensor]
        for term in map(graph.maker, inner.inputs):
            if term is None or not isinstance(term.operation, LayerScale):
                continue
            alone = graph.only_user(term) is inner and not graph.is_shared(term)
            if alone and outer and term.inputs[0] is outer[0]:
                return term
    return None


def _pick(position):
    """Return a function of tensors that hands on one of them."""
    return lambda *args: tensors_in(args)[position]
