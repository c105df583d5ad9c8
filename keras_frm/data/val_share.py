"""Hold out a share of the training pairs where there is no `val` folder."""

import dataclasses
import hashlib
import math
import unicodedata
from collections.abc import Callable
from pathlib import Path

from keras_frm.data.listing import Listing, MissingFolderError, NoPairsError
from keras_frm.errors import ArgumentError
from keras_frm.files import DataError

Reader = Callable[[Path, str | None], Listing]


def divided(reader: Reader, root: str | Path, split: str, val_share: float) -> Listing:
    """List the part of the training pairs that is "train" or "val".

    A file's path below `root`, without its ending, decides alone which part it is in:
    every machine gets the same parts, and files that are added move no other.

    Args:
        reader: Lists the pairs of a split.
        root: The dataset's folder, with a `train` folder, or without split folders.
        split: "train" or "val".
        val_share: Expected share of "val", above 0 and below 1.

    Returns:
        The part. What is left over is divided alike.

    Raises:
        ValueError: The share is out of range.
        DataError: There is a `val` already, nothing to divide, or a part is empty.

    Example:
    >>> divided(lambda root, split: None, "data", "val", 1.5)
    Traceback (most recent call last):
    ValueError: The share held out for 'val' is 1.5; it must be above 0 and below 1.
    """
    if not 0 < val_share < 1:
        raise ValueError(
            f"The share held out for 'val' is {val_share}; it must be above 0 and "
            "below 1."
        )
    root = Path(root).expanduser()
    if _found(reader, root, "val"):
        raise DataError(
            f"'{root}' has a split 'val' of its own, so none is held out from 'train'. "
            "Use that one, or move it away."
        )
    whole = _to_divide(reader, root)

    def belongs(path: Path) -> bool:
        return (_place(path, root) < val_share) == (split == "val")

    pairs = tuple(pair for pair in whole.pairs if belongs(pair.image))
    if not pairs:
        raise _empty_part(whole, root, split, val_share)
    return dataclasses.replace(
        whole,
        pairs=pairs,
        unpaired_images=tuple(filter(belongs, whole.unpaired_images)),
        unpaired_labels=tuple(filter(belongs, whole.unpaired_labels)),
        skipped=tuple(entry for entry in whole.skipped if belongs(entry[0])),
    )


def missing_val(reader: Reader, root: str | Path, error: DataError) -> ValueError:
    """Return the error for a `val` that is missing; it names `val_share` if that helps.

    Args:
        reader: Lists the pairs of a split.
        root: The dataset's folder.
        error: What the reader raised for "val".
    """
    try:
        _to_divide(reader, Path(root).expanduser())
    except DataError:
        return error
    return ArgumentError(
        str(error).removesuffix("."),
        "val_share",
        "pass val_share=0.1 to hold out a tenth of the training pairs",
    )


def _found(reader: Reader, root: Path, split: str) -> bool:
    """Tell whether a split is there; a folder without a pair is as good as none."""
    try:
        reader(root, split)
    except (MissingFolderError, NoPairsError):
        return False
    return True


def _to_divide(reader: Reader, root: Path) -> Listing:
    """List the split "train", or all there is where no folder is a split's."""
    try:
        return reader(root, "train")
    except MissingFolderError:
        if _found(reader, root, "test"):
            raise
        try:
            return reader(root, None)
        except DataError:
            pass  # "train" is what its reader expects
        raise


def _place(path: Path, root: Path) -> float:
    """Place a file in [0, 1) by its path below `root`, whatever system wrote it."""
    below = path.relative_to(root).with_suffix("").as_posix()
    name = unicodedata.normalize("NFC", below).encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.sha256(name).digest()[:6], "big") / 2**48


def _empty_part(whole: Listing, root: Path, split: str, val_share: float) -> DataError:
    places = [_place(pair.image, root) for pair in whole.pairs]
    if split == "val":
        bound = f"{math.ceil(1000 * min(places) + 1) / 1000:g} is the least that takes"
    else:
        bound = f"{math.floor(1000 * max(places)) / 1000:g} is the most that leaves"
    return DataError(
        f"A share of {val_share:g} for 'val' leaves '{split}' none of the "
        f"{len(places)} pairs in '{root}'; {bound} one."
    )
