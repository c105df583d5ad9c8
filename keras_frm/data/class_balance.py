"""Weights that make rare classes count as much as frequent ones."""

from collections.abc import Iterable

import numpy as np


def median_frequency_weights(
    masks: Iterable[np.ndarray], num_classes: int
) -> tuple[float, ...]:
    """Return the median frequency of the classes divided by each one's own.

    The frequency of a class is the number of its pixels, divided by the number of
    labelled pixels of the masks that have it. A class that no mask has weighs 1.

    Args:
        masks: Arrays of integer train ids; what is no class is not labelled.
        num_classes: Number of classes.

    Returns:
        One weight for each class, rounded to six decimals.

    Raises:
        ValueError: No mask has a labelled pixel.

    Source: Eigen and Fergus, Predicting Depth, Surface Normals and Semantic Labels
    with a Common Multi-Scale Convolutional Architecture, ICCV 2015; SegNet uses it.

    Example:
    >>> median_frequency_weights([np.array([0, 0, 0, 1]), np.array([0, 0, 2, 2])], 4)
    (0.8, 2.0, 1.0, 1.0)
    """
    pixels, around = _counted(masks, num_classes)
    return _rounded(_median_over(pixels, around))


def square_root_weights(
    masks: Iterable[np.ndarray], num_classes: int
) -> tuple[float, ...]:
    """Return the square root of the median share of the classes over each one's own.

    The share of a class is that of all labelled pixels. Between no weights, with which
    rare classes are learned last, and weights that balance, with which they are seen
    where they are not. For the arguments, see `median_frequency_weights`.

    Example:
    >>> square_root_weights([np.array([0, 0, 0, 0, 1, 2, 2, 2, 2])], 4)
    (1.0, 2.0, 1.0, 1.0)
    """
    pixels, _ = _counted(masks, num_classes)
    return _rounded(np.sqrt(_median_over(pixels, np.ones(num_classes))))


def _counted(masks, num_classes):
    """Count each class's pixels, and the labelled ones of the masks that have it."""
    pixels, around = np.zeros(num_classes), np.zeros(num_classes)
    for mask in masks:
        counts = np.bincount(np.ravel(mask), minlength=num_classes)[:num_classes]
        pixels += counts
        around += np.where(counts > 0, counts.sum(), 0)
    return pixels, around


def _median_over(pixels, around):
    """Return the median frequency over each one's own, 1 for a class without pixels."""
    seen = pixels > 0
    if not seen.any():
        raise ValueError("No mask has a labelled pixel, so classes cannot be weighed.")
    frequencies = pixels[seen] / around[seen]
    weights = np.ones(len(pixels))
    weights[seen] = np.median(frequencies) / frequencies
    return weights


def _rounded(weights):
    return tuple(weights.round(6).tolist())
