"""Biases that TFLite's converter quantises channel by channel."""

import keras
import numpy as np

from keras_frm.graph.convolutions import Convolution, weights_of, with_weights
from keras_frm.graph.graph import Graph, rebuild


def uneven_biases(model: keras.Model) -> keras.Model:
    """Move one bias of a convolution where all are equal by its last bit.

    The converter stores equal numbers as one, and quantises that one by the scale of
    the first channel: biases of channels with other scales come out wrong.

    Args:
        model: A Functional model of primitive layers.

    Returns:
        A model of the same function up to the last bit of some biases.

    Example:
    >>> x = keras.Input((8, 8, 3))
    >>> layer = keras.layers.Conv2D(2, 1, bias_initializer="ones", name="conv")
    >>> new = uneven_biases(keras.Model(x, layer(x)))
    >>> new.get_layer("conv").bias.numpy().tolist()
    [1.0000001192092896, 1.0]
    """
    replacements = {}
    for call in Graph(model).calls:
        layer = call.operation
        if not isinstance(layer, Convolution) or layer.bias is None:
            continue
        kernel, _ = weights_of(layer)
        bias = keras.ops.convert_to_numpy(layer.bias)
        if bias.size > 1 and bias[0] and np.all(bias == bias[0]):
            uneven = bias.copy()
            uneven[0] = np.nextafter(bias[0], np.float32(np.inf))
            replacements[layer] = with_weights(layer, kernel, uneven)
    return rebuild(model, replacements)
