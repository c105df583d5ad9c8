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
    pixels, around = np.zeros(num_classes), np.zeros(num_classes)
    for mask in masks:
        counts = np.bincount(np.ravel(mask), minlength=num_classes)[:num_classes]
        pixels += counts
        around += np.where(counts > 0, counts.sum(), 0)
    seen = pixels > 0
    if not seen.any():
        raise ValueError("No mask has a labelled pixel, so classes cannot be weighed.")
    frequencies = pixels[seen] / around[seen]
    weights = np.ones(num_classes)
    weights[seen] = np.median(frequencies) / frequencies
    return tuple(weights.round(6).tolist())
