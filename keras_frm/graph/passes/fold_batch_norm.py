"""Batch normalisation into the convolutions beside it."""

import keras
import numpy as np

from keras_frm.graph.convolutions import (
    can_scale_outputs,
    is_convolution,
    is_pointwise,
    scale_inputs,
    scale_outputs,
)
from keras_frm.graph.graph import Call, Graph, rebuild, unchanged
from keras_frm.graph.layer_scales import constant_scale, is_addition, scale_operand


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """Fold BatchNorms into the convolution before each, or into what comes after it.

    After a convolution that nothing else reads, a BatchNorm scales the kernel. Before
    1x1 convolutions it scales their inputs; a convolution with zero padding cannot
    take it, for zeros would become offsets. Where a residual branch takes the
    BatchNorm too, its factor stays on that branch as a `LayerScale` and its offset
    goes into the bias of the convolution the branch is added to.

    Args:
        model: A Functional model of primitive layers.

    Returns:
        A model of the same function; a BatchNorm that fits neither place stays.

    Example:
    >>> x = keras.Input((8, 8, 3))
    >>> y = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3)(x))
    >>> folded = fold_batch_norm(keras.Model(x, y))
    >>> [type(layer).__name__ for layer in folded.layers]
    ['InputLayer', 'Conv2D']
    """
    return _fold_forward(_fold_backward(model))


def affine_of(norm: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """Return the factor and the offset of each channel in inference, float64."""
    mean = np.asarray(norm.moving_mean, np.float64)
    variance = np.asarray(norm.moving_variance, np.float64)
    scale = 1 / np.sqrt(variance + norm.epsilon)
    if norm.gamma is not None:
        scale = scale * np.asarray(norm.gamma, np.float64)
    offset = -mean * scale
    if norm.beta is not None:
        offset = offset + np.asarray(norm.beta, np.float64)
    return scale, offset


def _batch_norms(graph):
    """Yield the calls of BatchNorms over the last axis that occur once."""
    for call in graph.calls:
        norm = call.operation
        if not isinstance(norm, keras.layers.BatchNormalization):
            continue
        last = len(call.inputs[0].shape) - 1
        if norm.axis in (-1, last) and not graph.is_shared(call):
            yield call


def _fold_backward(model):
    """Fold each BatchNorm that follows a convolution into it."""
    graph = Graph(model)
    replacements = {}
    for call in _batch_norms(graph):
        before = graph.maker(call.inputs[0])
        if before is None or not can_scale_outputs(before.operation):
            continue
        if graph.is_shared(before) or graph.only_user(before) is not call:
            continue
        affine = affine_of(call.operation)
        replacements[before.operation] = scale_outputs(before.operation, *affine)
        replacements[call.operation] = unchanged
    return rebuild(model, replacements)


def _fold_forward(model):
    """Fold each BatchNorm whose users can all take it into them."""
    graph = Graph(model)
    replacements = {}
    for call in _batch_norms(graph):
        users = graph.users(call)
        partners = [_partner(graph, call, user) for user in users]
        if graph.is_output(call) or None in partners:
            continue
        scale, offset = affine_of(call.operation)
        for user, partner in zip(users, partners, strict=True):
            layer = replacements.get(partner.operation, partner.operation)
            if partner is user:
                replacements[user.operation] = scale_inputs(layer, scale, offset)
                continue
            ones = np.ones_like(offset)
            replacements[partner.operation] = scale_outputs(layer, ones, offset)
            kept = constant_scale(f"{call.operation.name}.scale", scale)
            position = 0 if user.inputs[0] is call.outputs[0] else 1
            replacements[user.operation] = scale_operand(
                user.operation.name, kept, position
            )
        replacements[call.operation] = unchanged
    return rebuild(model, replacements)


def _partner(graph: Graph, norm: Call, user: Call) -> Call | None:
    """Return the call whose weights take a BatchNorm's offset for one of its users.

    The user itself where it is a 1x1 convolution; the convolution on the other side
    where it is an addition; None where neither is.
    """
    if graph.is_shared(user):
        return None
    if is_pointwise(user.operation):
        return user
    if not is_addition(user.operation):
        return None
    others = [tensor for tensor in user.inputs if tensor is not norm.outputs[0]]
    other = graph.maker(others[0]) if len(others) == 1 else None
    if other is None or not is_convolution(other.operation) or graph.is_shared(other):
        return None
    if others[0].shape[-1] != norm.outputs[0].shape[-1]:
        return None
    return other if graph.only_user(other) is user else None
