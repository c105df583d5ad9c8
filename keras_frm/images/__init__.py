"""One way to resize images, for training, calibration and inference alike."""

import cv2
import numpy as np


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an image: area-averaged if it shrinks, bilinear otherwise.

    Area averaging is for both sides shrinking, where bilinear samples would skip
    pixels.

    Args:
        image: (H, W, 3) uint8.
        size: New height and width, pixels.

    Returns:
        (h, w, 3) uint8; the image itself where it has that size.

    Example:
    >>> stripes = np.zeros((2, 8, 3), np.uint8)
    >>> stripes[:, ::2] = 200
    >>> resize_image(stripes, (1, 2))[..., 0].tolist()
    [[100, 100]]
    >>> resize_image(stripes, (4, 16)).shape
    (4, 16, 3)
    """
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(image, (width, height), interpolation=method)
