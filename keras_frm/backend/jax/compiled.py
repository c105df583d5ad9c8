"""A function of tensors as one program of XLA."""

from collections.abc import Callable

import jax


def compiled(function: Callable) -> Callable:
    """Return a function that XLA compiles, once for each set of shapes.

    Args:
        function: A pure function of tensors, written with `keras.ops`.

    Example:
    >>> compiled(lambda x: x + 1)(1).item()
    2
    """
    return jax.jit(function)
