"""CamVid in the SegNet split: 480x360, 11 classes."""

from pathlib import Path

from keras_frm.data.listing import (
    PHOTOS,
    Listing,
    key_by_stem,
    match,
    require_folder,
)
from keras_frm.images.finding import find_files
from keras_frm.labels import CAMVID


def find_pairs(root: str | Path, split: str) -> Listing:
    """List CamVid's pairs.

    Args:
        root: The folder that holds `train`, `trainannot`, `val` and so on.
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
    layout = f"{root}/{split}/*.jpg, *.jpeg or *.png with {root}/{split}annot/*.png"
    image_folder = require_folder(root / str(split), layout)
    mask_folder = require_folder(root / f"{split}annot", layout)
    images = find_files(image_folder, PHOTOS, deep=False)
    masks = find_files(mask_folder, [".png"], deep=False)
    return Listing(
        CAMVID,
        *match(
            key_by_stem(images, image_folder), key_by_stem(masks, mask_folder), layout
        ),
    )
