"""Casts that leave no trace where there is nothing to cast."""

import keras
from keras import ops

from keras_frm.backend import Tensor


def cast(x: Tensor, dtype: str) -> Tensor:
    """Cast, without a node in the graph where there is nothing to cast.

    Args:
        x: Tensor.
        dtype: Name of the dtype.

    Example:
    >>> x = ops.ones((2,), "float16")
    >>> cast(x, "float16") is x, cast(x, "float32").dtype.name
    (True, 'float32')
    """
    is_of_it = keras.backend.standardize_dtype(x.dtype) == dtype
    return x if is_of_it else ops.cast(x, dtype)
