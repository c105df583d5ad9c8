"""Dataset name -> the reader that lists its files."""

from dataclasses import replace
from pathlib import Path

from keras_frm.data import bdd100k, camvid, cityscapes, folder
from keras_frm.data.listing import Listing, MissingFolderError
from keras_frm.data.merging import merged_like
from keras_frm.data.val_share import divided, missing_val
from keras_frm.labels import LabelSet

SOURCES = {
    "cityscapes": cityscapes.find_pairs,
    "bdd100k": bdd100k.find_pairs,
    "camvid": camvid.find_pairs,
    "folder": folder.find_pairs,
}

# Terms of the data, which those of weights trained on them follow.
TERMS = {
    "cityscapes": "Cityscapes: research and teaching, non-commercial; images are not "
    "passed on",
    "bdd100k": "BDD100K: its licence, non-commercial research",
    "camvid": "CamVid in the SegNet split: CC BY-NC 4.0, research use",
    "synthetic": "procedural scenes of keras_frm: no terms",
}


def find_pairs(
    name: str,
    root: str | Path | None,
    split: str | None,
    *,
    labels: LabelSet | None = None,
    val_share: float | None = None,
) -> Listing:
    """List the pairs of a dataset.

    Args:
        name: "cityscapes", "bdd100k", "camvid" or "folder".
        root: The dataset's folder.
        split: "train", "val" or "test"; for "folder" also None or "all".
        labels: Classes, which may be merged from the dataset's own.
        val_share: Where there is no `val`: share of the training pairs to hold out for
            it, chosen by their names. "train" is the rest then.

    Returns:
        The sorted pairs and what is left over.

    Raises:
        ValueError: There is no such dataset, no root is given, the share is out of
            range, there is no `val` and no share, or the labels are merged from other
            classes.
        DataError: The files are not where they should be.

    Example:
    >>> find_pairs("kitti", "data", "train")
    Traceback (most recent call last):
    ValueError: Unknown dataset 'kitti'. Choose one of: bdd100k, camvid, ...
    """
    if name not in SOURCES:
        raise ValueError(
            f"Unknown dataset '{name}'. Choose one of: {', '.join(sorted(SOURCES))}."
        )
    if root is None:
        raise ValueError(f"Dataset '{name}' is read from files: give its folder, root.")
    listing = _read(SOURCES[name], root, split, val_share)
    return replace(listing, labels=merged_like(listing.labels, labels))


def _read(reader, root, split, val_share):
    if val_share is not None and split in ("train", "val"):
        return divided(reader, root, split, val_share)
    try:
        return reader(root, split)
    except MissingFolderError as error:
        if split != "val":
            raise
        raise missing_val(reader, root, error) from None
