"""A user's own images and masks, with the classes in `classes.csv`."""

import dataclasses
from pathlib import Path

from keras_frm.data.class_file import read_class_file
from keras_frm.data.listing import (
    Listing,
    key_by_stem,
    match,
    require_folder,
)
from keras_frm.files import DataError
from keras_frm.images.finding import find_files
from keras_frm.images.reading import IMAGE_SUFFIXES
from keras_frm.presets import PRESETS, Preset

CLASS_FILE = "classes.csv"


def find_pairs(root: str | Path, split: str | None) -> Listing:
    """List the pairs of a user's own folder.

    An image and its mask have the same path below `images` and `masks`, without the
    ending. Masks are PNG (or BMP) and hold ids or the colours of `classes.csv`.

    Args:
        root: The folder that holds `images`, `masks` and `classes.csv`.
        split: A folder's name below both `images` and `masks`, as "train". None or
            "all" takes everything below them, with or without split folders.

    Returns:
        The sorted pairs and what is left over.

    Raises:
        DataError: A folder or the class file is missing or wrong, or no image has
            a mask.

    Example:
    >>> find_pairs("/nowhere", "train")
    Traceback (most recent call last):
    keras_frm.data.listing.MissingFolderError: There is no folder...
    """
    root = Path(root).expanduser()
    below = "" if split in (None, "all") else split
    layout = (
        f"{root / 'images' / below}/**.jpg or .png with "
        f"{root / 'masks' / below}/**.png of the same name, and {root / CLASS_FILE}; "
        "split 'all' takes images without split folders"
    )
    image_folder = require_folder(root / "images" / below, layout)
    mask_folder = require_folder(root / "masks" / below, layout)
    labels, ignored_colours = read_class_file(root / CLASS_FILE)

    images = find_files(image_folder, IMAGE_SUFFIXES)
    masks = find_files(mask_folder, [".png", ".bmp"])
    if not masks and find_files(mask_folder, [".jpg", ".jpeg"]):
        raise DataError(
            f"The masks in '{mask_folder}' are JPEG, which changes ids. "
            "Save them as PNG from their source."
        )
    return Listing(
        labels,
        *match(
            key_by_stem(images, image_folder), key_by_stem(masks, mask_folder), layout
        ),
        ignored_colours=ignored_colours,
    )


def folder_preset(root: str | Path) -> Preset:
    """Return the preset of a user's own folder: its classes, and CamVid's recipe.

    Args:
        root: The folder that holds `images`, `masks` and `classes.csv`.

    Returns:
        A preset named "folder", which `load_dataset`, `build_model` and `recipe` take.

    Raises:
        ValueError: No root is given.
        DataError: There is no such folder, or its class file is missing or wrong.

    Example:
    >>> folder_preset("/nowhere")
    Traceback (most recent call last):
    keras_frm.data.listing.MissingFolderError: There is no folder...
    """
    if root is None:
        raise ValueError("Dataset 'folder' is read from files: give its folder, root.")
    root = Path(root).expanduser()
    require_folder(root, f"images, masks and {CLASS_FILE} in {root}")
    labels, _ = read_class_file(root / CLASS_FILE)
    return dataclasses.replace(
        PRESETS["camvid"],
        name="folder",
        dataset="folder",
        labels=labels,
        source="CamVid's recipe on a folder of one's own",
    )
