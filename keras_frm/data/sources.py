"""Dataset name -> the reader that lists its files."""

from pathlib import Path

from keras_frm.data import bdd100k, camvid, cityscapes, folder
from keras_frm.data.listing import Listing

SOURCES = {
    "cityscapes": cityscapes.find_pairs,
    "bdd100k": bdd100k.find_pairs,
    "camvid": camvid.find_pairs,
    "folder": folder.find_pairs,
}


def find_pairs(name: str, root: str | Path | None, split: str | None) -> Listing:
    """List the pairs of a dataset.

    Args:
        name: "cityscapes", "bdd100k", "camvid" or "folder".
        root: The dataset's folder.
        split: "train", "val" or "test"; for "folder" also None or "all".

    Returns:
        The sorted pairs and what is left over.

    Raises:
        ValueError: There is no such dataset, or no root is given.
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
    return SOURCES[name](root, split)
