"""Dataset name -> the reader that lists its files."""

from dataclasses import replace
from pathlib import Path

from keras_frm.data import bdd100k, camvid, cityscapes, folder
from keras_frm.data.listing import Listing
from keras_frm.data.merging import merged_like
from keras_frm.labels import LabelSet

SOURCES = {
    "cityscapes": cityscapes.find_pairs,
    "bdd100k": bdd100k.find_pairs,
    "camvid": camvid.find_pairs,
    "folder": folder.find_pairs,
}


def find_pairs(
    name: str,
    root: str | Path | None,
    split: str | None,
    *,
    labels: LabelSet | None = None,
) -> Listing:
    """List the pairs of a dataset.

    Args:
        name: "cityscapes", "bdd100k", "camvid" or "folder".
        root: The dataset's folder.
        split: "train", "val" or "test"; for "folder" also None or "all".
        labels: Classes, which may be merged from the dataset's own.

    Returns:
        The sorted pairs and what is left over.

    Raises:
        ValueError: There is no such dataset, no root is given, or the labels are
            merged from other classes.
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
    listing = SOURCES[name](root, split)
    return replace(listing, labels=merged_like(listing.labels, labels))
