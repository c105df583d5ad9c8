"""What a random view of an image is, whatever computes it: its place and its colours.

`data.augmentation` makes views in `tf.data`, `data.arrays.augmentation` on the device;
both take the numbers from here. A view is a function of nine draws in [0, 1): scale,
row in the source and in the crop, column in the source and in the crop, brightness,
contrast, saturation, flip.
"""

from types import ModuleType
from typing import NamedTuple

import numpy as np

from keras_frm.backend import Tensor

DRAWS = 9
# The mean colour of ImageNet, rounded: zero after the model's normalisation.
PAD_COLOUR = (124, 116, 104)
# Weights of red, green and blue in luminance, ITU-R BT.601.
LUMINANCE = (0.299, 0.587, 0.114)
# One in so many pixels each way gives the mean that contrast turns about.
MEAN_STEP = 4

_GREY = np.tile(np.float32(LUMINANCE)[:, None], (1, 3))  # (3, 3): colour -> grey
_SAME = np.eye(3, dtype=np.float32)  # (3, 3): colour -> colour


class Place(NamedTuple):
    """Which source pixels fill one axis of a crop, and where they land.

    Args:
        start: First source pixel.
        taken: Number of source pixels.
        filled: Number of pixels of the crop that they become.
        before: Padding before these.
    """

    start: Tensor
    taken: Tensor
    filled: Tensor
    before: Tensor


def scale_of(draws: Tensor, scale_range: tuple[float, float]) -> Tensor:
    """Return the factor of the size.

    Args:
        draws: (9,) float32 in [0, 1).
        scale_range: Lowest and highest factor, drawn evenly.

    Example:
    >>> scale_of([0.5], (0.5, 2.0))
    1.25
    """
    return scale_range[0] + draws[0] * (scale_range[1] - scale_range[0])


def place(
    ops: ModuleType,
    size: int | Tensor,
    crop: int,
    scale: Tensor,
    offset_draw: Tensor,
    pad_draw: Tensor,
) -> Place:
    """Choose which source pixels fill one axis of the crop, and where they land.

    Args:
        ops: `tensorflow` or `keras.ops`: they name what is needed here alike.
        size: Source pixels there are.
        crop: Pixels of the crop.
        scale: () float32, pixels of the crop for a source pixel.
        offset_draw: () float32 in [0, 1).
        pad_draw: () float32 in [0, 1).

    Returns:
        () int32 each.

    Example:
    >>> import tensorflow as tf
    >>> one = tf.constant(1.0)
    >>> [int(number) for number in place(tf, 6, 16, one, 0 * one, 0.5 * one)]
    [0, 6, 6, 5]
    """
    wanted = ops.cast(ops.round(crop / scale), "int32")
    taken = ops.minimum(ops.maximum(wanted, 1), size)
    start = _drawn(ops, offset_draw, size - taken + 1)
    whole = ops.cast(ops.round(ops.cast(size, "float32") * scale), "int32")
    filled = ops.where(wanted <= size, crop, ops.minimum(ops.maximum(whole, 1), crop))
    return Place(start, taken, filled, _drawn(ops, pad_draw, crop - filled + 1))


def nearest_source(position: Tensor, taken: Tensor, filled: Tensor) -> Tensor:
    """Return the source pixel nearest to a pixel of the result, half-pixel centres.

    Args:
        position: Integers, counted from the first filled pixel.
        taken: Number of source pixels.
        filled: Number of pixels that they become.

    Example:
    >>> nearest_source(np.arange(4), 2, 4)
    array([0, 0, 1, 1])
    """
    return (2 * position + 1) * taken // (2 * filled)


def colour_change(
    draws: Tensor, amount: float, mean: Tensor
) -> tuple[list[Tensor], Tensor]:
    """Return a change of brightness, then contrast, then saturation.

    All three are linear in a pixel's colour, so together they are one matrix and one
    grey offset: a pass over the image in place of three.

    Args:
        draws: (9,) float32 in [0, 1).
        amount: Largest relative change.
        mean: () float32, the image's mean luminance.

    Returns:
        (3, 3) float32, to be multiplied by (..., 3) colours from the right, and ()
        float32, to be added.

    Example:
    >>> matrix, offset = colour_change(np.full(9, 0.5, np.float32), 0.4, 128.0)
    >>> bool((matrix == np.eye(3)).all()), float(offset)
    (True, 0.0)
    """
    brightness, contrast, saturation = (
        1 + amount * (2 * draws[i] - 1) for i in (5, 6, 7)
    )
    matrix = saturation * _SAME + (1 - saturation) * _GREY  # (3, 3)
    return brightness * contrast * matrix, (1 - contrast) * brightness * mean


def is_flipped(draws: Tensor) -> Tensor:
    """Return whether the view is mirrored, left to right.

    Args:
        draws: (9,) float32 in [0, 1).

    Example:
    >>> is_flipped(np.zeros(9))
    np.True_
    """
    return draws[8] < 0.5


def _drawn(ops, draw, count):
    """Return one of the integers below a count."""
    return ops.cast(draw * ops.cast(count, "float32"), "int32")
