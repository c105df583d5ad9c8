"""A user's own images and masks, with the classes in `classes.csv`."""

import dataclasses
from pathlib import Path

from keras_frm.data.class_exports import EXPORTED_CLASS_FILES
from keras_frm.data.class_file import read_class_file
from keras_frm.data.listing import (
    Listing,
    key_by_stem,
    match,
    require_folder,
)
from keras_frm.data.mask_names import without_endings
from keras_frm.data.stored_mask import MASK_SUFFIXES
from keras_frm.files import DataError
from keras_frm.images.finding import find_files
from keras_frm.images.reading import IMAGE_SUFFIXES
from keras_frm.presets import PRESETS, Preset

CLASS_FILE = "classes.csv"
_ROBOFLOW_MASK = "_mask.png"


def find_pairs(root: str | Path, split: str | None) -> Listing:
    """List the pairs of a user's own folder.

    An image and its mask have the same path below `images` and `masks`, without the
    ending; or every mask adds the same to it, as `_mask`. Masks are PNG (or BMP, TIFF,
    GIF) and hold ids or the colours of the class file. That is `classes.csv`, or one
    that a labelling tool wrote, see `read_class_file`. A split of Roboflow's export has
    images, masks and `_classes.csv` in one folder.

    Args:
        root: The folder that holds `images`, `masks` and the class file.
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
    if _is_roboflow(root, below):
        image_folder = mask_folder = root / below
        masks = find_files(mask_folder, [_ROBOFLOW_MASK])
    else:
        image_folder = require_folder(root / "images" / below, layout)
        mask_folder = require_folder(root / "masks" / below, layout)
        masks = find_files(mask_folder, MASK_SUFFIXES)
    labels = read_class_file(_class_file(root, mask_folder))
    images = find_files(image_folder, IMAGE_SUFFIXES)
    if image_folder == mask_folder:
        images = sorted(set(images) - set(masks))
    if not masks:
        _refuse_other_masks(mask_folder)
    keyed = without_endings(
        key_by_stem(images, image_folder), key_by_stem(masks, mask_folder)
    )
    return Listing(labels, *match(*keyed, layout))


def folder_preset(root: str | Path) -> Preset:
    """Return the preset of a user's own folder: its classes, and CamVid's recipe.

    Args:
        root: The folder that holds `images`, `masks` and the class file.

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
    labels = read_class_file(_class_file(root, root / "masks"))
    return dataclasses.replace(
        PRESETS["camvid"],
        name="folder",
        dataset="folder",
        labels=labels,
        source="CamVid's recipe on a folder of one's own",
    )


def _is_roboflow(root: Path, below: str) -> bool:
    if (root / "images").is_dir() or (root / "masks").is_dir():
        return False
    return any((root / below).glob("_classes.csv" if below else "*/_classes.csv"))


def _class_file(root: Path, mask_folder: Path) -> Path:
    """Return the class file: ours, or else a labelling tool's beside or above masks."""
    folders = [root, mask_folder, *mask_folder.parents]
    folders += sorted(path for path in root.iterdir() if path.is_dir())
    for folder in folders:
        if not folder.is_relative_to(root):
            continue
        for name in (CLASS_FILE, *EXPORTED_CLASS_FILES):
            if (folder / name).is_file():
                return folder / name
    return root / CLASS_FILE


def _refuse_other_masks(folder: Path) -> None:
    """Raise where a folder without masks has pictures of other formats."""
    others = find_files(folder, [".jpg", ".jpeg"])
    if others:
        raise DataError(
            f"The masks in '{folder}' are JPEG, which changes ids. "
            "Save them as PNG from their source."
        )
    if others := find_files(folder, [".webp"]):
        raise DataError(
            f"The masks in '{folder}' are WebP, as '{others[0].name}'. Save them as "
            "PNG from their source."
        )
