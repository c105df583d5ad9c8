"""Per-channel factors as convolutions, whose weights int8 holds channel by channel."""

import keras
import numpy as np

from keras_frm.graph.graph import Graph, rebuild
from keras_frm.graph.passes.fold_batch_norm import affine_of
from keras_frm.layers.blocks.layer_scale import LayerScale


def scale_to_depthwise(model: keras.Model) -> keras.Model:
    """Replace scales, rescalings and BatchNorms by depthwise 1x1 convolutions.

    An int8 product or sum with a constant has one scale for all channels of the
    constant; a depthwise convolution has one for each, and an int32 bias.

    Args:
        model: A Functional model of primitive layers.

    Returns:
        A model of the same function.

    Example:
    >>> x = keras.Input((8, 8, 3))
    >>> new = scale_to_depthwise(keras.Model(x, LayerScale()(x)))
    >>> [type(layer).__name__ for layer in new.layers]
    ['InputLayer', 'DepthwiseConv2D']
    """
    replacements = {}
    for call in Graph(model).calls:
        layer = call.operation
        shape = call.inputs[0].shape if call.inputs else ()
        if len(shape) != 4:
            continue
        if isinstance(layer, LayerScale):
            factors = np.asarray(layer.gamma)
            replacements[layer] = depthwise_affine(layer.name, factors, 0 * factors)
        elif isinstance(layer, keras.layers.Rescaling):
            factors = np.broadcast_to(layer.scale, shape[-1])
            offsets = np.broadcast_to(layer.offset, shape[-1])
            replacements[layer] = depthwise_affine(layer.name, factors, offsets)
        elif _is_batch_norm(layer):
            replacements[layer] = depthwise_affine(layer.name, *affine_of(layer))
    return rebuild(model, replacements)


def depthwise_affine(name, factors, offsets):
    """Return the convolution that multiplies each channel and adds to it."""
    layer = keras.layers.DepthwiseConv2D(1, use_bias=bool(np.any(offsets)), name=name)
    layer.build((1, None, None, len(factors)))
    kernel = np.reshape(factors, (1, 1, -1, 1)).astype(np.float32)
    bias = [np.asarray(offsets, np.float32)] if layer.use_bias else []
    layer.set_weights([kernel, *bias])
    return layer


def _is_batch_norm(layer):
    return isinstance(layer, keras.layers.BatchNormalization) and layer.axis in (-1, 3)
