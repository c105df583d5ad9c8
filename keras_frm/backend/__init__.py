"""What one Keras backend alone can do, by backend, and what needs which."""

from collections.abc import Callable
from typing import Any, TypeAlias

import keras

# A tensor of the backend, or a KerasTensor: they have no public class in common.
Tensor: TypeAlias = Any


def is_tensorflow() -> bool:
    """Return whether Keras computes with TensorFlow.

    Example:
    >>> is_tensorflow()
    True
    """
    return keras.backend.backend() == "tensorflow"


def require_tensorflow(what: str) -> None:
    """Raise where Keras computes with another backend than TensorFlow.

    Args:
        what: What needs TensorFlow, the subject of the message.

    Raises:
        ValueError: The backend is another one.

    Example:
    >>> require_tensorflow("Training")
    """
    if not is_tensorflow():
        raise ValueError(
            f"{what} needs the TensorFlow backend, and Keras runs on "
            f"'{keras.backend.backend()}'. Set KERAS_BACKEND=tensorflow before Keras "
            "is imported."
        )


def require_channels_last() -> None:
    """Raise where Keras puts channels before height and width.

    Raises:
        ValueError: `keras.config.image_data_format()` is "channels_first".

    Example:
    >>> require_channels_last()
    """
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "keras_frm's layers take images of (height, width, channels), and Keras is "
            "set to 'channels_first'. Call "
            "keras.config.set_image_data_format('channels_last')."
        )


def rematerialized(layer: keras.layers.Layer, x: Tensor) -> Tensor:
    """Call a layer in training so that the backward pass keeps its input only.

    Args:
        layer: A built layer of one input.
        x: Its input.

    Raises:
        ValueError: Keras computes with another backend than TensorFlow and JAX.
    """
    if keras.backend.backend() == "jax":
        from keras_frm.backend.jax.rematerialize import rematerialized
    else:
        require_tensorflow("rematerialize=True")
        from keras_frm.backend.tensorflow.rematerialize import rematerialized

    return rematerialized(layer, x, training=True)


def compiled(function: Callable) -> Callable:
    """Return a function that XLA compiles, once for each set of shapes.

    Args:
        function: A pure function of tensors, written with `keras.ops`.

    Raises:
        ValueError: Keras computes with another backend than TensorFlow and JAX.
    """
    if keras.backend.backend() == "jax":
        from keras_frm.backend.jax.compiled import compiled
    else:
        require_tensorflow("Compiling a function")
        from keras_frm.backend.tensorflow.compiled import compiled

    return compiled(function)
