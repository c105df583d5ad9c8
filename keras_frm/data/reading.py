"""Masks and pairs from disk, checked: a bad file is one clear error, never a crash."""

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from keras_frm.data.mask_ids import map_colours, map_ids
from keras_frm.files import DataError, read_bytes, unreadable
from keras_frm.images.orientation import orientation, turns_sides
from keras_frm.images.reading import read_image
from keras_frm.labels import LabelSet

# What Pillow may open: the fewer decoders, the smaller the attack surface.
_MASK_FORMATS = ("PNG", "BMP")
_SHOWN_VALUES = 8


class SizeMismatchError(DataError):
    """An image and its mask have different sizes."""


class UnknownIdsError(DataError):
    """A mask holds ids or colours outside the table; they are in `values`."""

    def __init__(self, message: str, values: tuple):
        super().__init__(message)
        self.values = values


def read_mask(
    path: str | Path,
    labels: LabelSet,
    *,
    train_ids: bool = False,
    ignored_colours: Iterable[tuple[int, int, int]] = (),
) -> np.ndarray:
    """Read a mask as train ids.

    Grey (8 or 16 bits) and palette masks hold ids; RGB masks hold the colours of
    `labels.palette`.

    Args:
        path: A PNG or BMP file.
        labels: The label set that says what the stored ids mean.
        train_ids: The mask holds train ids, whatever `labels.ids` says.
        ignored_colours: Colours of RGB masks that mean "not labelled".

    Returns:
        (H, W) uint8 train ids, `labels.ignore_label` where a pixel counts nowhere.

    Raises:
        UnknownIdsError: An id or a colour stands in no table.
        DataError: The file is missing, empty, truncated or not a mask.

    Example:
    >>> import os, tempfile
    >>> from keras_frm.labels import CITYSCAPES
    >>> path = os.path.join(tempfile.mkdtemp(), "car.png")
    >>> Image.new("L", (2, 1), 26).save(path)
    >>> read_mask(path, CITYSCAPES)
    array([[13, 13]], dtype=uint8)
    """
    stored = _read_stored_mask(path)
    if stored.ndim == 3:
        mask, unknown = map_colours(stored, labels, ignored_colours)
        remedy = "give the class its colour"
    else:
        mask, unknown = map_ids(stored, labels, train_ids=train_ids)
        remedy = "add them to it"
    if unknown:
        kind = "colours" if stored.ndim == 3 else "ids"
        shown = ", ".join(str(value) for value in unknown[:_SHOWN_VALUES])
        more = len(unknown) - _SHOWN_VALUES
        shown += f" and {more} more" if more > 0 else ""
        raise UnknownIdsError(
            f"Mask '{path}' holds {kind} that are not in the label table "
            f"'{labels.name}': {shown}. Correct the mask, or {remedy}.",
            unknown,
        )
    return mask


def read_pair(
    image: str | Path,
    label: str | Path,
    labels: LabelSet,
    *,
    train_ids: bool = False,
    ignored_colours: Iterable[tuple[int, int, int]] = (),
) -> tuple[np.ndarray, np.ndarray]:
    """Read an image and its mask, which must have one size.

    Args:
        image: As for `read_image`.
        label: As for `read_mask`, with the arguments that follow.
        labels: As for `read_mask`.
        train_ids: As for `read_mask`.
        ignored_colours: As for `read_mask`.

    Returns:
        (H, W, 3) uint8 RGB and (H, W) uint8 train ids.

    Raises:
        SizeMismatchError: The two have different sizes.
        DataError: As for `read_image` and `read_mask`.
    """
    pixels = read_image(image)
    mask = read_mask(
        label, labels, train_ids=train_ids, ignored_colours=ignored_colours
    )
    if pixels.shape[:2] != mask.shape:
        raise SizeMismatchError(
            f"Image '{image}' is {_size(pixels)} and its mask '{label}' is "
            f"{_size(mask)}. {_size_remedy(image, pixels, mask)}"
        )
    return pixels, mask


def _size_remedy(image: str | Path, pixels: np.ndarray, mask: np.ndarray) -> str:
    tag = orientation(read_bytes(image))
    if turns_sides(tag) and mask.shape == pixels.shape[1::-1]:
        return (
            f"EXIF orientation {tag} turns the image in viewers, where its mask was "
            "painted. Store its pixels upright, as with: mogrify -auto-orient FILE"
        )
    return "Make both the same size, or remove the pair."


def _read_stored_mask(path: str | Path) -> np.ndarray:
    """Return what a mask stores: (H, W) integers or (H, W, 3) uint8 colours."""
    data = read_bytes(path)
    # Readers scale 1, 2 and 4 bit grey to 0..255, or do not: the ids are ambiguous.
    if data.startswith(b"\x89PNG") and data[25:26] == b"\0" and data[24] < 8:
        raise DataError(
            f"Mask '{path}' has {data[24]} bit grey samples, which readers disagree "
            "about. Save it with 8 bits.",
            path,
        )
    # Pillow, because it gives the indices of a palette PNG, as BDD100K ships;
    # OpenCV and TensorFlow expand them to the colours of the palette.
    with _open(path, data, _MASK_FORMATS) as image:
        try:
            if image.mode in ("L", "P", "I", "I;16", "I;16B", "I;16L"):
                return np.array(image)  # (H, W)
            if image.mode in ("RGB", "RGBA"):
                return np.array(image.convert("RGB"))  # (H, W, 3)
        except Exception as error:  # damaged files raise almost anything in Pillow
            raise unreadable(path, error) from error
        raise DataError(
            f"Mask '{path}' has the pixel type '{image.mode}'. Save it as 8 or 16 "
            "bit grey, as palette or as RGB.",
            path,
        )


def _open(path: str | Path, data: bytes, formats: tuple[str, ...]) -> Image.Image:
    """Read a mask's header with Pillow, whose limits on size stay on."""
    try:
        return Image.open(io.BytesIO(data), formats=formats)
    except Image.UnidentifiedImageError as error:
        raise unreadable(path, f"it is not {' or '.join(formats)}") from error
    except Exception as error:  # damaged files raise almost anything in Pillow
        raise unreadable(path, error) from error


def _size(array: np.ndarray) -> str:
    # As people write it, width first.
    return f"{array.shape[1]}x{array.shape[0]}"
