"""From the ids or colours a mask is stored with to train ids."""

from collections.abc import Mapping

import cv2
import numpy as np

from keras_frm.labels import Colour


def map_ids(
    stored: np.ndarray, known: Mapping[int, int]
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Translate stored ids to train ids.

    Args:
        stored: (H, W) integers.
        known: Stored id -> train id, as `LabelSet.stored_ids` gives them.

    Returns:
        (H, W) uint8 train ids, and the stored ids that stand in no table, whose
        pixels have no meaning in the first result.

    Example:
    >>> from keras_frm.labels import CITYSCAPES
    >>> map_ids(np.uint8([[7, 26, 0]]), CITYSCAPES.stored_ids())
    (array([[  0,  13, 255]], dtype=uint8), ())
    >>> map_ids(np.uint8([[7, 77]]), CITYSCAPES.stored_ids())[1]
    (77,)
    """
    if stored.dtype != np.uint8:
        if stored.min() < 0 or stored.max() > 255:
            return _map_wide_ids(stored, known)
        stored = stored.astype(np.uint8)
    unknown = tuple(i for i in used_values(stored) if i not in known)
    table = np.zeros(256, np.uint8)
    for stored_id, train_id in known.items():
        if stored_id < 256:
            table[stored_id] = train_id
    return cv2.LUT(stored, table), unknown  # (H, W)


def map_colours(
    stored: np.ndarray, known: Mapping[Colour, int]
) -> tuple[np.ndarray, tuple[Colour, ...]]:
    """Translate the exact colours of a mask to train ids.

    Args:
        stored: (H, W, 3) uint8 RGB.
        known: RGB colour -> train id, as `LabelSet.stored_colours` gives them.

    Returns:
        (H, W) uint8 train ids, and the colours that stand in no table, whose
        pixels have no meaning in the first result.

    Example:
    >>> from keras_frm.labels import CITYSCAPES
    >>> colours = np.uint8([[[128, 64, 128], [0, 0, 142]]])
    >>> map_colours(colours, CITYSCAPES.stored_colours())
    (array([[ 0, 13]], dtype=uint8), ())
    """
    # 0 is "unknown", so train id n stands as n + 1. The operating system hands out
    # pages of zeros only where they are touched: 2^24 entries cost a few pages.
    table = np.zeros(1 << 24, np.uint16)
    for colour, train_id in known.items():
        table[_pack(np.array(colour))] = train_id + 1
    packed = _pack(stored)  # (H, W)
    found = table[packed]  # (H, W)
    unknown = ()
    if not found.all():
        unknown = tuple(
            (int(c) >> 16, int(c) >> 8 & 255, int(c) & 255)
            for c in np.unique(packed[found == 0])
        )
    return (found - 1).astype(np.uint8), unknown


def used_values(stored: np.ndarray) -> list[int]:
    """Return the values that occur in a mask, ascending.

    Args:
        stored: (H, W) uint8.

    Example:
    >>> used_values(np.uint8([[7, 0, 7]]))
    [0, 7]
    """
    # A histogram in OpenCV takes a tenth of the time of numpy's bincount or unique.
    counts = cv2.calcHist([stored], [0], None, [256], [0, 256]).ravel()
    return np.flatnonzero(counts).tolist()


def _map_wide_ids(
    stored: np.ndarray, known: Mapping[int, int]
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Map ids that do not fit into 8 bits; slower, and rare."""
    values, position = np.unique(stored, return_inverse=True)
    unknown = tuple(int(v) for v in values if int(v) not in known)
    mapped = np.array([known.get(int(v), 0) for v in values], np.uint8)
    return mapped[position].reshape(stored.shape), unknown  # (H, W)


def _pack(colours: np.ndarray) -> np.ndarray:
    """Return RGB as one 24-bit integer: (..., 3) -> (...)."""
    wide = colours.astype(np.int32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
