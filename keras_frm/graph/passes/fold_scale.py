"""Layer scales into convolutions, and what stays of them into one per residual."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from keras_frm.graph.convolutions import is_convolution, scale_outputs
from keras_frm.graph.graph import Call, Graph, named, rebuild, tensors_in, unchanged
from keras_frm.layers.blocks.layer_scale import LayerScale


def fold_layer_scale(model: keras.Model) -> keras.Model:
    """Fold each layer scale into what makes its input.

    A convolution takes the factors into its weights, another layer scale multiplies
    its own by them, and an addition passes them on to both of its sides.

    Args:
        model: A Functional model of primitive layers.

    Returns:
        A model of the same function; a layer scale after anything else stays.
    """
    while replacements := _foldable(Graph(model)):
        model = rebuild(model, replacements)
    return model


def fold_residual_scale(model: keras.Model) -> keras.Model:
    """Merge a residual around a scaled branch of the same tensor: x + (x g + y).

    It becomes x (1 + g) + y, one addition less.

    Args:
        model: A Functional model of primitive layers.

    Returns:
        A model of the same function.
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
        replacements[call.operation] = pick(position)
    return rebuild(model, replacements)


def constant_scale(name: str, factors: np.ndarray, learned: bool = True) -> LayerScale:
    """Return a layer scale with given factors.

    Args:
        name: Name of the layer.
        factors: (C,) factors.
        learned: Whether a training may change them.
    """
    layer = LayerScale(learned=learned, name=name)
    layer.build((None, len(factors)))
    layer.set_weights([factors.astype(np.float32)])
    return layer


def is_addition(operation) -> bool:
    """Return whether an operation adds tensors, a layer or one of `keras.ops`."""
    return type(operation).__name__ == "Add"


def scale_operand(name: str, scale: LayerScale, position: int) -> Callable:
    """Return an addition that scales one of its two tensors first.

    Args:
        name: Name of the addition.
        scale: The layer that scales.
        position: 0 for the first tensor, 1 for the second.
    """

    def add(*args):
        terms = tensors_in(args)
        terms[position] = scale(terms[position])
        return named(ops.add(*terms), name)

    return add


def pick(position: int) -> Callable:
    """Return a function of tensors that hands on one of them."""
    return lambda *args: tensors_in(args)[position]


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
    if is_convolution(operation):
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
