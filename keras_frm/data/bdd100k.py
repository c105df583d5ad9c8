"""BDD100K: the 10K semantic segmentation images, in both layouts it was published in.

Its 10K train split overlaps the val split of the 100K images (bdd100k#132): do not
evaluate on the latter what was trained on the former.
"""

from pathlib import Path

from keras_frm.data.listing import (
    PHOTOS,
    Listing,
    key_by_stem,
    match,
    require_folder,
)
from keras_frm.images.finding import find_files
from keras_frm.labels import BDD100K

# Published without masks of their own: bdd100k#103 and #127 on GitHub.
_BROKEN = frozenset(
    {
        "3d581db5-2564fb7e",
        "52e3fd10-c205dec2",
        "781756b0-61e0a182",
        "78ac84ba-07bd30c2",
        "80a9e37d-e4548ac1",
        "9342e334-33d167eb",
    }
)
_REASON = "published without a mask of its own (bdd100k#103, #127)"


def find_pairs(root: str | Path, split: str) -> Listing:
    """List BDD100K's pairs; the masks hold Cityscapes train ids.

    Args:
        root: The folder that holds `images/10k` and `labels/sem_seg/masks`, or, in
            the older layout, `seg/images` and `seg/labels`.
        split: "train" or "val".

    Returns:
        The sorted pairs and what is left over; images known to have no mask of
        their own are in `skipped`.

    Raises:
        DataError: A folder is missing or no image has a mask.

    Example:
    >>> find_pairs("/nowhere", "val")
    Traceback (most recent call last):
    keras_frm.data.listing.MissingFolderError: There is no folder...
    """
    root, split = Path(root).expanduser(), str(split)
    layout = (
        f"{root}/images/10k/{split}/*.jpg, *.jpeg or *.png with "
        f"{root}/labels/sem_seg/masks/{split}/*.png, or the images in "
        f"{root}/seg/images/{split} with {root}/seg/labels/{split}/*_train_id.png"
    )
    if (root / "seg/images").is_dir() and not (root / "images/10k").is_dir():
        images, masks, suffix = "seg/images", "seg/labels", "_train_id"
    else:
        images, masks, suffix = "images/10k", "labels/sem_seg/masks", ""
    image_folder = require_folder(root / images / split, layout)
    mask_folder = require_folder(root / masks / split, layout)

    image_files = find_files(image_folder, PHOTOS, deep=False)
    mask_files = find_files(mask_folder, [f"{suffix}.png"], deep=False)
    image_of = key_by_stem(image_files, image_folder)
    mask_of = key_by_stem(mask_files, mask_folder, suffix)

    skipped = tuple(
        (image_of.pop(name), _REASON) for name in sorted(_BROKEN & image_of.keys())
    )
    for path, _ in skipped:
        mask_of.pop(path.stem, None)
    return Listing(BDD100K, *match(image_of, mask_of, layout), skipped)
