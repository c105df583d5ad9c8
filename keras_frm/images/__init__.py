"""One way to resize images, masks and scores: for training, calibration, inference."""

import cv2
import numpy as np

# OpenCV 5 resizes no more channels at a time; OpenCV 4 up to 512.
_MAX_CHANNELS = 128


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


def resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a mask of class ids: the nearest pixel counts.

    Of two that are equally near, the lower or right one counts. OpenCV's versions
    differ there, and a mask is to be the same wherever it is computed.

    Args:
        mask: (h, w) uint8.
        size: New height and width, pixels.

    Returns:
        (H, W) uint8; the mask itself where it has that size.

    Example:
    >>> resize_mask(np.array([[1, 2]], np.uint8), (1, 4)).tolist()
    [[1, 1, 2, 2]]
    """
    if mask.shape == tuple(size):
        return mask
    rows, columns = map(_nearest, mask.shape, size)
    return mask.take(columns, axis=1).take(rows, axis=0)  # (H, W)


def resize_scores(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize scores, or an image, bilinearly with half-pixel centres.

    Args:
        array: (h, w, C), uint8 or float32.
        size: New height and width, pixels.

    Returns:
        (H, W, C), the dtype of `array`; the array itself where it has that size.

    Example:
    >>> resize_scores(np.ones((2, 3, 200), np.float32), (4, 6)).shape
    (4, 6, 200)
    """
    height, width = size
    if array.shape[:2] == (height, width):
        return array
    parts = [
        cv2.resize(
            array[..., first : first + _MAX_CHANNELS],
            (width, height),
            interpolation=cv2.INTER_LINEAR,
        ).reshape(height, width, -1)  # (H, W, 1..128)
        for first in range(0, array.shape[-1], _MAX_CHANNELS)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


def _nearest(size: int, new_size: int) -> np.ndarray:
    """Return the old place in which the centre of each new one lies."""
    return (2 * np.arange(new_size) + 1) * size // (2 * new_size)
