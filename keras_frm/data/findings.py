"""What a dataset's files show that training would not: by pair, and by class."""

from typing import NamedTuple

import cv2
import numpy as np

from keras_frm.data.listing import Listing, Pair
from keras_frm.files import read_bytes
from keras_frm.images.orientation import orientation, turns_sides
from keras_frm.labels import LabelSet

PROBLEM, NOTE = "problem", "note"


class Finding(NamedTuple):
    """Something to know of a dataset before it is trained on.

    Args:
        severity: `PROBLEM` where training would learn or score what is wrong; `NOTE`
            where it may be meant.
        kind: What it is, in a few words.
        file: Path of the file, "" where it concerns no single one.
        detail: What was found, and what to do.
    """

    severity: str
    kind: str
    file: str
    detail: str


def pair_findings(
    pair: Pair, image: np.ndarray, label: np.ndarray, labels: LabelSet
) -> list[Finding]:
    """Look at a pair that can be read.

    Args:
        pair: The files.
        image: (H, W, 3) uint8.
        label: (H, W) uint8 train ids.
        labels: The classes.
    """
    data = read_bytes(pair.image)
    tags = orientation(data), orientation(read_bytes(pair.label))
    found = [
        _orientation(tags, label.shape),
        _one_value(label, labels),
        _wide_range(data, image),
    ]
    files = str(pair.image), str(pair.label), str(pair.image)
    return [
        Finding(severity, kind, file, detail)
        for file, (severity, kind, detail) in zip(files, found, strict=True)
        if detail
    ]


def class_findings(
    listing: Listing, pixels: np.ndarray, from_class_file: bool
) -> list[Finding]:
    """Name the classes that no mask holds.

    Args:
        listing: The files.
        pixels: Pixels of each class, and last the ignored ones.
        from_class_file: The classes are the user's own and trained on: one without a
            pixel is a problem. A published dataset's split may lack one.
    """
    if not pixels.any():
        return []  # no mask was read at all, which has a row of its own
    labels = listing.labels
    remedy = "Correct its id and colour, or the masks; or remove its row."
    return [
        Finding(
            PROBLEM if from_class_file else NOTE,
            "class without pixels",
            "",
            f"No mask holds '{name}'. {remedy if from_class_file else ''}".strip(),
        )
        for name, count in zip(labels.classes, pixels[:-1], strict=True)
        if not count
    ]


def _orientation(tags: tuple[int, int], size: tuple[int, int]) -> tuple[str, str, str]:
    kind = "EXIF orientation"
    image, mask = tags
    if image == mask:
        both = f"{image}, and the mask's, too: both are read as stored."
        return NOTE, kind, "" if image == 1 else both
    tag = f"{image}" if mask == 1 else f"{image}, and {mask} of the mask"
    if turns_sides(image) != turns_sides(mask) and size[0] != size[1]:
        return NOTE, kind, f"{tag}: the mask's size is that of the pixels as stored."
    return (
        PROBLEM,
        kind,
        f"{tag}: viewers turn the image, and a mask painted there fits by its size and "
        "not by its pixels. Save the image upright: mogrify -auto-orient FILE",
    )


def _one_value(label: np.ndarray, labels: LabelSet) -> tuple[str, str, str]:
    values = np.flatnonzero(np.bincount(label.ravel(), minlength=256))
    if len(values) > 1:
        return NOTE, "", ""
    is_class = values[0] < labels.num_classes
    name = f"'{labels.classes[values[0]]}'" if is_class else "not labelled"
    return NOTE, "mask of one value", f"Every pixel is {name}."


def _wide_range(data: bytes, image: np.ndarray) -> tuple[str, str, str]:
    """Say what an image of 16 bits is in 8."""
    wide = data.startswith(b"\x89PNG") and data[24] == 16
    if not wide and data[:4] not in (b"II*\0", b"MM\0*"):
        return NOTE, "", ""
    flags = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR
    stored = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if stored is None or stored.dtype != np.uint16:
        return NOTE, "", ""
    return NOTE, "image of 16 bits", f"{_span(stored)} are read as {_span(image)}."


def _span(values: np.ndarray) -> str:
    count = np.count_nonzero(np.bincount(values.ravel()))
    return f"{count} values from {values.min()} to {values.max()}"
