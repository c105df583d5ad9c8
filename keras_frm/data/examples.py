"""What the pipeline draws from: file pairs or synthetic scenes, by index."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from keras_frm.data.cache import ExampleCache
from keras_frm.data.listing import Listing, Pair
from keras_frm.data.mask_ids import map_ids
from keras_frm.data.merging import merged_like
from keras_frm.files import DataError, collected_warnings, warn_of_data
from keras_frm.images import resize_image, resize_mask
from keras_frm.images.reading import image_size
from keras_frm.labels import CITYSCAPES, LabelSet

_SCENE_SIZE = (256, 512)
# Split -> index of the first synthetic scene, and how many there are by default.
_SCENES = {"train": (0, 400), "val": (10_000_000, 100)}
# Scenes are one fixed dataset: `seed` of load_dataset orders and crops them.
_SCENE_SEED = 0

_SHOWN_FILES = 6


@dataclass(frozen=True)
class Examples:
    """What a pipeline draws from, whatever it comes from.

    Args:
        labels: The classes.
        count: Number of examples.
        read: Index -> (H, W, 3) uint8 image and (H, W) uint8 label.
        name: Index -> path of the image, or what else tells an example from others.
        size: Height and width of all examples, None where they may differ.
        listing: The files, None for synthetic scenes.
    """

    labels: LabelSet
    count: int
    read: Callable[[int], tuple[np.ndarray, np.ndarray]]
    name: Callable[[int], str]
    size: tuple[int, int] | None
    listing: Listing | None = None


def resize_pair(
    image: np.ndarray, label: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Resize an image and its label.

    Args:
        image: (H, W, 3) uint8.
        label: (H, W) uint8.
        size: New height and width, pixels.

    Returns:
        (h, w, 3) uint8, area-averaged if it shrinks and bilinear otherwise, and
        (h, w) uint8, nearest.

    Example:
    >>> image, label = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint8)
    >>> [array.shape for array in resize_pair(image, label, (2, 3))]
    [(2, 3, 3), (2, 3)]
    """
    return resize_image(image, size), resize_mask(label, size)


def file_examples(
    listing: Listing,
    resize: tuple[int, int] | None,
    same_size: bool,
    cache: str | Path | None = None,
) -> Examples:
    """Draw from files; warns of the files that are left out.

    What reading warns of is said once for all of them.

    Args:
        listing: The files.
        resize: Height and width every example gets right after reading.
        same_size: Refuse an example whose size differs from the first one's.
        cache: Folder that keeps what is decoded and resized, see `ExampleCache`.

    Returns:
        The examples; `read` raises a DataError for a file that is wrong.

    Raises:
        ValueError: There cannot be such a folder.
    """
    _warn_left_out(listing)
    first = listing.pairs[0].image
    size = resize
    if same_size and not resize:
        size = image_size(first)

    if cache is not None:
        settings = f"{listing.labels} {resize}"
        cache = ExampleCache(cache, settings)

    said = set()

    def decode(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        try:
            with collected_warnings() as found:
                image, label = listing.read(pair)
        except DataError as error:
            # One class name for `data_error` to find, whichever it was.
            raise DataError(str(error)) from None
        for warning in found:
            if str(warning) not in said:
                said.add(str(warning))
                warn_of_data(f"{warning} The first is '{warning.path}'.", warning.path)
        return resize_pair(image, label, resize) if resize else (image, label)

    def read(index: int) -> tuple[np.ndarray, np.ndarray]:
        pair = listing.pairs[index]
        if cache is None:
            image, label = decode(pair)
        else:
            image, label = cache.read(pair, lambda: decode(pair))
        if size and label.shape != size:
            raise DataError(
                f"Image '{pair.image}' is {label.shape[1]}x{label.shape[0]} and "
                f"'{first}' is {size[1]}x{size[0]}, so they share no batch. Pass "
                "batch_size=1 or resize=(height, width)."
            )
        return image, label

    def name(index: int) -> str:
        return str(listing.pairs[index].image)

    return Examples(listing.labels, len(listing.pairs), read, name, size, listing)


def scene_examples(
    root: str | Path | None,
    split: str | None,
    size: tuple[int, int] | None = None,
    count: int | None = None,
) -> Examples:
    """Draw from the procedural scenes.

    Args:
        root: Must be None: scenes are not read.
        split: "train" or "val".
        size: Height and width of a scene, (256, 512) if None.
        count: Number of scenes, 400 for "train" and 100 for "val" if None.

    Returns:
        The examples, the same for every call.

    Raises:
        ValueError: There is such a root, no such split, or the size is too small.
    """
    from keras_frm.scenes import checked_size, render_scene

    if root is not None:
        raise ValueError("Dataset 'synthetic' is made, not read: pass root=None.")
    if split not in _SCENES:
        raise ValueError(
            f"Dataset 'synthetic' has no split '{split}'. Choose one of: "
            f"{', '.join(_SCENES)}."
        )
    first, default_count = _SCENES[split]
    size = checked_size(size or _SCENE_SIZE)

    def read(index: int) -> tuple[np.ndarray, np.ndarray]:
        return render_scene(first + int(index), _SCENE_SEED, size)

    def name(index: int) -> str:
        return f"synthetic scene {first + index}"

    count = default_count if count is None else count
    return Examples(CITYSCAPES, count, read, name, size)


def merged_examples(examples: Examples, labels: LabelSet) -> Examples:
    """Return examples whose labels have merged classes.

    Args:
        examples: Examples that are not merged.
        labels: A result of `merge_classes` on their classes, or their classes.

    Raises:
        ValueError: The labels are made of other classes.
    """
    merged = merged_like(examples.labels, labels)
    if merged is examples.labels:
        return examples
    known = merged.stored_ids(train_ids=True)

    def read(index: int) -> tuple[np.ndarray, np.ndarray]:
        image, label = examples.read(index)
        return image, map_ids(label, known)[0]

    return replace(examples, labels=merged, read=read)


def _warn_left_out(listing: Listing):
    """Say once what a listing leaves out."""
    reasons = {
        "known to be broken": [path for path, _ in listing.skipped],
        "without a mask": listing.unpaired_images,
        "without an image": listing.unpaired_labels,
    }
    for reason, paths in reasons.items():
        if paths:
            shown = ", ".join(path.name for path in paths[:_SHOWN_FILES])
            more = len(paths) - _SHOWN_FILES
            shown += f" and {more} more" if more > 0 else ""
            warnings.warn(f"Left out, {reason}: {shown}", UserWarning, stacklevel=4)
