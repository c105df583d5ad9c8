"""A batch to time a training step with, where its content does not matter."""

import numpy as np

_BLOCK = 16  # pixels


def random_batch(
    count: int, size: tuple[int, int], num_classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return random images, and labels in blocks of 16x16 pixels; always the same.

    Args:
        count: Number of images.
        size: Their height and width, pixels.
        num_classes: Number of classes, all of which can be drawn.

    Returns:
        Images (B, H, W, 3) uint8 and labels (B, H, W) uint8.

    Example:
    >>> images, labels = random_batch(2, (20, 40), 19)
    >>> images.shape, labels.shape
    ((2, 20, 40, 3), (2, 20, 40))
    >>> bool((labels[:, :16, 16:32] == labels[:, :1, 16:17]).all())
    True
    """
    random = np.random.default_rng(0)
    height, width = size
    images = random.integers(0, 256, (count, height, width, 3), np.uint8)
    blocks = (count, -(-height // _BLOCK), -(-width // _BLOCK))
    labels = random.integers(0, num_classes, blocks, np.uint8)  # (B, H / 16, W / 16)
    labels = labels.repeat(_BLOCK, axis=1).repeat(_BLOCK, axis=2)
    return images, labels[:, :height, :width]
