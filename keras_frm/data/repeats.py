"""Images that a dataset holds more than once, in one split or in several."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from keras_frm.data.findings import NOTE, PROBLEM, Finding
from keras_frm.data.listing import Listing
from keras_frm.files import DataError

_SHOWN = 3


def repeat_findings(
    listing: Listing, list_split: Callable[[str], Listing]
) -> list[Finding]:
    """Name the images whose bytes are equal to another one's.

    Over several splits this is a problem: what a network is scored on was trained on.

    Args:
        listing: The files that are looked at.
        list_split: Lists the pairs of "train", "val" or "test"; what is not there
            raises a DataError or ValueError.

    Returns:
        One finding for all images that are equal, where the listing holds one.
    """
    own = {pair.image for pair in listing.pairs}
    split_of = dict.fromkeys(own, "")
    for split in ("train", "val", "test"):
        try:
            pairs = list_split(split).pairs
        except (DataError, ValueError):
            continue
        split_of.update((pair.image, split) for pair in pairs)
    return [
        _finding([first, *(path for path in equal if path != first)], split_of)
        for equal in _equal_files(split_of)
        if (first := next((path for path in equal if path in own), None))
    ]


def _finding(equal: list[Path], split_of: dict[Path, str]) -> Finding:
    over_splits = len({split_of[path] for path in equal}) > 1
    shown = ", ".join(
        f"'{path}' of {split_of[path]}" if over_splits else f"'{path}'"
        for path in equal[1 : 1 + _SHOWN]
    )
    more = len(equal) - 1 - _SHOWN
    return Finding(
        PROBLEM if over_splits else NOTE,
        "repeats over splits" if over_splits else "repeats",
        str(equal[0]),
        f"The same image as {shown}{f' and {more} more' if more > 0 else ''}.",
    )


def _equal_files(paths: Iterable[Path]) -> Iterator[list[Path]]:
    """Yield groups of two and more files of equal content, each sorted."""
    for size, group in _grouped(sorted(paths), os.path.getsize).items():
        if size and len(group) > 1:  # most are told apart without reading them
            for equal in _grouped(group, _digest).values():
                if len(equal) > 1:
                    yield equal


def _grouped(paths: Iterable[Path], key: Callable[[Path], object]) -> dict:
    groups = defaultdict(list)
    for path in paths:
        try:
            groups[key(path)].append(path)
        except OSError:
            continue  # what cannot be read is named by who reads it
    return groups


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
