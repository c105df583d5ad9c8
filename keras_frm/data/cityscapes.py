"""Cityscapes: fine annotations in the folders of its own download."""

from dataclasses import replace
from pathlib import Path

from keras_frm.data.listing import (
    PHOTOS,
    Listing,
    key_by_stem,
    match,
    require_folder,
)
from keras_frm.images.finding import find_files
from keras_frm.labels import CITYSCAPES

_IMAGE = "_leftImg8bit"
_TRAIN_IDS = "_gtFine_labelTrainIds"
_RAW_IDS = "_gtFine_labelIds"


def find_pairs(root: str | Path, split: str) -> Listing:
    """List Cityscapes' pairs.

    `*_labelTrainIds.png`, which the dataset's own scripts make, is taken where it
    exists; `*_labelIds.png` of the download is mapped while reading otherwise.

    Args:
        root: The folder that holds `leftImg8bit` and `gtFine`.
        split: "train", "val" or "test".

    Returns:
        The sorted pairs and what is left over.

    Raises:
        DataError: A folder is missing or no image has a mask.

    Example:
    >>> find_pairs("/nowhere", "val")
    Traceback (most recent call last):
    keras_frm.data.listing.MissingFolderError: There is no folder...
    """
    root = Path(root).expanduser()
    layout = (
        f"{root}/leftImg8bit/{split}/<city>/*{_IMAGE}.png, .jpg or .jpeg with "
        f"{root}/gtFine/{split}/<city>/*{_TRAIN_IDS}.png or *{_RAW_IDS}.png"
    )
    image_folder = require_folder(root / "leftImg8bit" / str(split), layout)
    mask_folder = require_folder(root / "gtFine" / str(split), layout)

    images = _keyed(image_folder, _IMAGE, PHOTOS)
    raw, mapped = (
        _keyed(mask_folder, kind, (".png",)) for kind in (_RAW_IDS, _TRAIN_IDS)
    )
    masks = {**raw, **mapped}
    pairs, unpaired_images, unpaired_labels = match(images, masks, layout)
    pairs = tuple(
        replace(pair, train_ids=pair.label.stem.endswith(_TRAIN_IDS)) for pair in pairs
    )
    return Listing(CITYSCAPES, pairs, unpaired_images, unpaired_labels)


def _keyed(folder: Path, ending: str, suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Key the files whose names end so by `city/name`."""
    files = find_files(folder, [f"{ending}{suffix}".lower() for suffix in suffixes])
    return key_by_stem(files, folder, ending)
