"""Resizing of masks: the same on every device, whatever OpenCV's version does."""

from fractions import Fraction

import numpy as np
import pytest

from keras_frm.images import resize_mask


@pytest.mark.parametrize(
    ("old", "new"),
    [(4, 6), (6, 4), (5, 7), (1, 3), (3, 1), (8, 4), (480, 720), (361, 480)],
)
def test_a_masks_pixel_is_the_one_that_its_centre_lies_in(old, new):
    mask = np.arange(old)[None] % 251
    centres = [Fraction(2 * place + 1, 2) * old / new for place in range(new)]
    wanted = [int(centre) % 251 for centre in centres]  # of two equally near the right
    for axis in (0, 1):
        line = np.moveaxis(mask.astype(np.uint8), 0, axis)
        resized = resize_mask(line, (new, 1) if axis == 1 else (1, new))
        assert resized.ravel().tolist() == wanted


def test_a_mask_of_that_size_is_itself():
    mask = np.zeros((3, 4), np.uint8)
    assert resize_mask(mask, (3, 4)) is mask
    assert resize_mask(mask, [3, 4]) is mask
