"""A layer rebuilt from another one's configuration."""

import keras
import numpy as np


def layer_like(layer: keras.layers.Layer, weights, **config) -> keras.layers.Layer:
    """Return a built layer like another, with other weights.

    Args:
        layer: A built layer that is made from `get_config()`.
        weights: Arrays or tensors, in the order of the new layer's weights.
        **config: What is different in the new layer's configuration.

    Example:
    >>> dense = keras.layers.Dense(2, use_bias=False)
    >>> dense.build((None, 3))
    >>> float(layer_like(dense, [np.ones((3, 2))]).kernel.numpy().sum())
    6.0
    """
    new = type(layer).from_config({**layer.get_config(), **config})
    new.build(layer.get_build_config()["input_shape"])
    arrays = map(keras.ops.convert_to_numpy, weights)
    new.set_weights([array.astype(np.float32) for array in arrays])
    return new
