"""From the ids or colours a mask is stored with to train ids."""

from collections.abc import Iterable

import cv2
import numpy as np

from keras_frm.labels import LabelSet


def map_ids(
    stored: np.ndarray, labels: LabelSet, *, train_ids: bool = False
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Translate stored ids to train ids.

    Args:
        stored: (H, W) integers.
        labels: The label set. Without `ids` its masks hold train ids: then only
            0 to `num_classes - 1`, `ignored_ids` and `ignore_label` are known.
        train_ids: The mask holds train ids, whatever `labels.ids` says.

    Returns:
        (H, W) uint8 train ids, and the stored ids that stand in no table, whose
        pixels have no meaning in the first result.

    Example:
    >>> from keras_frm.labels import CITYSCAPES
    >>> map_ids(np.uint8([[7, 26, 0]]), CITYSCAPES)
    (array([[  0,  13, 255]], dtype=uint8), ())
    >>> map_ids(np.uint8([[7, 77]]), CITYSCAPES)[1]
    (77,)
    """
    known = _known_ids(labels, train_ids)
    if stored.dtype != np.uint8:
        if stored.min() < 0 or stored.max() > 255:
            return _map_wide_ids(stored, known)
        stored = stored.astype(np.uint8)
    # A histogram in OpenCV takes a tenth of the time of numpy's bincount or unique.
    counts = cv2.calcHist([stored], [0], None, [256], [0, 256]).ravel()
    unknown = tuple(int(i) for i in np.flatnonzero(counts) if int(i) not in known)
    table = np.zeros(256, np.uint8)
    for stored_id, train_id in known.items():
        if stored_id < 256:
            table[stored_id] = train_id
    return cv2.LUT(stored, table), unknown  # (H, W)


def map_colours(
    stored: np.ndarray,
    labels: LabelSet,
    ignored_colours: Iterable[tuple[int, int, int]] = (),
) -> tuple[np.ndarray, tuple[tuple[int, int, int], ...]]:
    """Translate the exact colours of a mask to train ids.

    Args:
        stored: (H, W, 3) uint8 RGB.
        labels: The label set whose palette the mask is painted with.
        ignored_colours: RGB colours that mean "not labelled".

    Returns:
        (H, W) uint8 train ids, and the colours that stand in no table, whose
        pixels have no meaning in the first result.

    Example:
    >>> from keras_frm.labels import CITYSCAPES
    >>> map_colours(np.uint8([[[128, 64, 128], [0, 0, 142]]]), CITYSCAPES)
    (array([[ 0, 13]], dtype=uint8), ())
    """
    # 0 is "unknown", so train id n stands as n + 1. The operating system hands out
    # pages of zeros only where they are touched: 2^24 entries cost a few pages.
    table = np.zeros(1 << 24, np.uint16)
    for colour in ignored_colours:
        table[_pack(np.array(colour))] = labels.ignore_label + 1
    for train_id, colour in enumerate(labels.palette):
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


def _known_ids(labels: LabelSet, train_ids: bool) -> dict[int, int]:
    """Return stored id -> train id, with the ignored ids."""
    ignored = dict.fromkeys(labels.ignored_ids, labels.ignore_label)
    if labels.ids and not train_ids:
        return {**ignored, **labels.ids}
    if train_ids:
        ignored = {}
    ignored[labels.ignore_label] = labels.ignore_label
    return {**ignored, **{i: i for i in range(labels.num_classes)}}


def _map_wide_ids(
    stored: np.ndarray, known: dict[int, int]
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
