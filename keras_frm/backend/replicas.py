"""The replicas of a distributed training; one for backends other than TensorFlow."""

import contextlib

import keras

from keras_frm.backend import Tensor, is_tensorflow


def sum_over_replicas(value: Tensor) -> Tensor:
    """Sum a tensor over all replicas; outside of a distribution it stays as it is.

    Args:
        value: This replica's tensor, of one shape on all of them.

    Returns:
        The sum, the same on all replicas.

    Example:
    >>> sum_over_replicas(2.0)
    2.0
    """
    if not is_tensorflow():
        return value
    from keras_frm.backend.tensorflow import replicas

    return replicas.sum_over_replicas(value)


def replica() -> tuple:
    """Return this replica's number, which may be a tensor, and how many there are.

    Example:
    >>> replica()
    (0, 1)
    """
    if not is_tensorflow():
        return 0, 1
    from keras_frm.backend.tensorflow import replicas

    return replicas.replica()


def num_replicas() -> int:
    """Return how many replicas train together.

    Example:
    >>> num_replicas()
    1
    """
    if not is_tensorflow():
        return 1
    from keras_frm.backend.tensorflow import replicas

    return replicas.num_replicas()


def replicas_of(model: keras.Model) -> int:
    """Return how many replicas a model trains on.

    Args:
        model: The model.

    Example:
    >>> replicas_of(keras.Model())
    1
    """
    return model.distribute_strategy.num_replicas_in_sync if is_tensorflow() else 1


def scope_of(model: keras.Model) -> contextlib.AbstractContextManager:
    """Return the scope in which variables get onto the devices of a model's weights.

    Args:
        model: The model.

    Example:
    >>> with scope_of(keras.Model()):
    ...     counter = keras.Variable(0)
    """
    if is_tensorflow():
        return model.distribute_strategy.scope()
    return contextlib.nullcontext()
