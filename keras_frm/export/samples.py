"""The images that a file is calibrated on, and those that it is checked on."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from keras_frm.data.representative import images_of, scenes

_CALIBRATION_IMAGES = 100
_CHECKED_IMAGES = 4


@dataclass(frozen=True)
class Samples:
    """Images at the size of a file, (h, w, 3) uint8.

    Args:
        calibration: Images to measure ranges on; none where nothing is measured.
        checked: Images to compare the file with the Keras model on.
    """

    calibration: list[np.ndarray]
    checked: list[np.ndarray]

    @property
    def held_out(self) -> bool:
        """Whether the ranges were measured on other images than the checked ones."""
        return self.checked is not self.calibration


def take_samples(
    data: Iterable | None, size: tuple[int, int], calibrated: bool
) -> Samples:
    """Take images of a dataset, and hold some out for the check.

    The first 100 images are calibrated on and the next 4 checked on. Of fewer images
    the last quarter is held out, at most 4; a single one has to serve for both.

    Args:
        data: See `images_of`; None for synthetic scenes.
        size: Height and width of the file's images, pixels.
        calibrated: Whether ranges are measured.

    Raises:
        ValueError: There is no image, or something is none.

    Example:
    >>> samples = take_samples([np.zeros((5, 2, 2, 3))], (2, 2), calibrated=True)
    >>> len(samples.calibration), len(samples.checked), samples.held_out
    (4, 1, True)
    """
    wanted = _CHECKED_IMAGES + (_CALIBRATION_IMAGES if calibrated else 0)
    images = scenes(size, wanted) if data is None else images_of(data, size, wanted)
    if not images:
        raise ValueError("representative_data holds no image.")
    if not calibrated:
        return Samples([], images)
    if len(images) == 1:
        return Samples(images, images)
    held_out = min(_CHECKED_IMAGES, max(1, len(images) // 4))
    return Samples(images[:-held_out], images[-held_out:])
