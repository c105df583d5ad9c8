"""Softmax whose sum half precision cannot spoil."""

import keras
from keras import ops

from keras_frm.backend import Tensor
from keras_frm.layers.blocks.casting import cast


def precise_softmax(x: Tensor) -> Tensor:
    """Return weights that sum up to 1 over the last axis, taken in float32 at least.

    Args:
        x: (B, ..., N) tensor.

    Returns:
        Tensor of the shape and dtype of `x`.

    Example:
    >>> precise_softmax(ops.zeros((1, 4), "float16"))[0].numpy().tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    dtype = keras.backend.standardize_dtype(x.dtype)
    precise = keras.backend.result_type(dtype, "float32")
    return cast(ops.softmax(cast(x, precise), axis=-1), dtype)
