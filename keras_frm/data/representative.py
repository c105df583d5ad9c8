"""Images at an export's size, to calibrate with and to check on."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from keras_frm.files import DataError
from keras_frm.images import resize_image
from keras_frm.images.finding import find_files, unique_files
from keras_frm.images.reading import IMAGE_SUFFIXES, read_image

# Scenes of the synthetic series that no training split uses.
_FIRST_SCENE = 20_000_000


def images_of(data: Iterable, size: tuple[int, int], limit: int) -> list[np.ndarray]:
    """Take the first images of a dataset, resized.

    Args:
        data: Batches or single examples: images, or (image, label, ...) tuples;
            images are (H, W, 3) or (B, H, W, 3), RGB in [0, 255]. Whole images, which
            are squeezed as a device squeezes them, not augmented crops.
        size: Height and width, pixels.
        limit: Number of images at most.

    Returns:
        Arrays (h, w, 3) uint8.

    Raises:
        ValueError: Something is no RGB image, its numbers are not in [0, 255] or are
            fractions of 1, or the dataset augments.

    Example:
    >>> [image.shape for image in images_of([np.zeros((2, 4, 6, 3))], (2, 2), 9)]
    [(2, 2, 3), (2, 2, 3)]
    """
    if getattr(data, "augmented", False):
        raise ValueError(
            "representative_data is augmented, and a device sees whole images; load "
            "the dataset once more with augment=False, batch_size=1."
        )
    return list(itertools.islice(_resized(data, size), limit))


def folder_images(folder: str | Path) -> Iterator[np.ndarray]:
    """Read the images below a folder, in the order of their names.

    Args:
        folder: Folder of PNG, JPEG, BMP or WebP files; there need be no labels.

    Returns:
        An iterator over (H, W, 3) uint8 RGB, upright as viewers show them; each file
        is read when it is reached.

    Raises:
        DataError: There is no image, or one cannot be read.
    """
    folder = Path(folder)
    found = find_files(folder, IMAGE_SUFFIXES) if folder.is_dir() else []
    if not found:
        raise DataError(
            f"There is no image below '{folder}'; known endings are "
            f"{', '.join(IMAGE_SUFFIXES)}."
        )
    return (read_image(file, upright=True) for file in unique_files(found))


def scenes(size: tuple[int, int], count: int) -> list[np.ndarray]:
    """Render synthetic street scenes at a size.

    Args:
        size: Height and width, pixels.
        count: Number of scenes.

    Returns:
        Arrays (h, w, 3) uint8.
    """
    from keras_frm.scenes import render_scene

    indices = range(_FIRST_SCENE, _FIRST_SCENE + count)
    rendered = (render_scene(index, seed=0)[0] for index in indices)
    return images_of(rendered, size, count)


def _resized(data, size) -> Iterator[np.ndarray]:
    """Yield each image of a dataset as uint8 at a size."""
    for number, image in enumerate(_single(data)):
        _check_range(image, number)
        yield resize_image(image.astype(np.uint8), size)


def _single(data) -> Iterator[np.ndarray]:
    """Yield each image of a dataset, (H, W, 3)."""
    for item in data:
        batch = np.asarray(item[0] if isinstance(item, (tuple, list)) else item)
        if batch.ndim not in (3, 4) or batch.shape[-1] != 3:
            raise ValueError(
                "Sample images must be (H, W, 3) or (B, H, W, 3) arrays, or tuples "
                f"that begin with one. Received shape: {batch.shape}"
            )
        yield from batch if batch.ndim == 4 else batch[None]


def _check_range(image, number):
    low, high = image.min(), image.max()
    if not (np.isfinite(image).all() and 0 <= low <= high <= 255):
        raise ValueError(
            "Sample images must hold numbers in [0, 255]. Image "
            f"{number} (from 0) has {low:g} to {high:g}."
        )
    # Black is black either way; whole numbers are levels, however dark.
    if 0 < high <= 1 and not np.issubdtype(image.dtype, np.integer):
        raise ValueError(
            f"Sample images must hold numbers in [0, 255]. Image {number} (from 0) has "
            f"{image.dtype} numbers from {low:g} to {high:g}; multiply by 255."
        )
