"""The first images of a training, looked at before their step."""

import jax
import keras
from jax import numpy as jnp

from keras_frm.backend.image_levels import refuse_wrong


class ImageLevels:
    """Watch a training's first images, whatever gives them; nothing is read twice.

    The first batch that is not black decides, once. Only float images are watched:
    whole numbers are levels.

    Example:
    >>> levels = ImageLevels()
    >>> levels.look_at(jnp.array([0.2, 180.0]))
    """

    def __init__(self):
        self._is_decided = False

    def reset(self) -> None:
        """Forget the images seen: others follow."""
        self._is_decided = False

    def look_at(self, images: jax.Array) -> None:
        """Refuse images in [0, 1], or normalised around 0, until some are not black.

        Args:
            images: (B, H, W, 3), of any backend or NumPy.

        Raises:
            ValueError: The images are no RGB in [0, 255].
        """
        dtype = keras.backend.standardize_dtype(images.dtype)
        if self._is_decided or not keras.backend.is_float_dtype(dtype):
            return
        low, high = float(jnp.min(images)), float(jnp.max(images))
        refuse_wrong(low, high)
        self._is_decided = low < 0 or high > 0
