"""The images and labels of a dataset, one by one, checked."""

from collections.abc import Callable, Iterable, Iterator, Sized

import numpy as np
import tensorflow as tf


def image_pairs(
    dataset: Iterable, progress: Callable[[int, int | None], None] | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield image (H, W, 3) and label (H, W), one by one, batched or not.

    Args:
        dataset: See `keras_frm.evaluate`.
        progress: Called with the elements done and their total, None if unknown.

    Raises:
        ValueError: Something is no such pair, or the dataset has no end.

    Example:
    >>> pairs = [(np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6, 1), np.uint8))]
    >>> [label.shape for _, label in image_pairs(pairs)]
    [(4, 6)]
    """
    total = _length(dataset)
    levels_are_known = False
    for done, element in enumerate(dataset, start=1):
        if not isinstance(element, (tuple, list)) or len(element) != 2:
            raise ValueError("The dataset must give pairs (image, label).")
        images, labels = (np.asarray(part) for part in element)
        if images.ndim != 4:
            images, labels = images[None], labels[None]
        if labels.ndim == 4 and labels.shape[-1] == 1:
            labels = labels[..., 0]  # (B, H, W)
        if images.shape != (*labels.shape, 3):
            raise ValueError(
                f"Images {images.shape} and labels {labels.shape} do not fit: need "
                "(B, H, W, 3) and (B, H, W) of one size."
            )
        if images.dtype != np.uint8:
            _check_range(images)
            # The first that is not black decides: a later one may be all but black.
            levels_are_known = levels_are_known or _has_levels(images)
            images = images.astype(np.float32, copy=False)
        yield from zip(images, labels, strict=True)
        if progress is not None:
            progress(done, total)


def _check_range(images):
    """Raise if float images cannot be RGB in [0, 255]."""
    if images.size and not (images.min() >= 0 and images.max() <= 255):
        raise ValueError(
            f"Images must be RGB in [0, 255], not {images.min()} to {images.max()}; "
            "normalisation belongs inside the model."
        )


def _has_levels(images):
    """Return whether images are seen to hold levels; raise if they are fractions."""
    high = images.max(initial=0)
    if 0 < high <= 1 and not np.issubdtype(images.dtype, np.integer):
        raise ValueError(
            f"Images must be RGB in [0, 255], and these hold {images.dtype} numbers up "
            f"to {high:g}; multiply them by 255."
        )
    return high > 0


def _length(dataset):
    """Return the number of elements of a dataset, None if unknown."""
    if isinstance(dataset, tf.data.Dataset):
        count = int(dataset.cardinality())
        if count == tf.data.INFINITE_CARDINALITY:
            raise ValueError("The dataset repeats without end; remove .repeat().")
        return count if count >= 0 else None
    return len(dataset) if isinstance(dataset, Sized) else None
