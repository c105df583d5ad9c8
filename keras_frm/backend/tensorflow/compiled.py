"""A function of tensors as one program of XLA."""

from collections.abc import Callable

import tensorflow as tf


def compiled(function: Callable) -> Callable:
    """Return a function that XLA compiles, once for each set of shapes.

    Args:
        function: A pure function of tensors, written with `keras.ops`.

    Example:
    >>> int(compiled(lambda x: x + 1)(tf.constant(1)))
    2
    """
    return tf.function(function, jit_compile=True, autograph=False)
