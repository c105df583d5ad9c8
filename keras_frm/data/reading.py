"""Masks and pairs from disk, checked: a bad file is one clear error, never a crash."""

from pathlib import Path

import numpy as np

from keras_frm.data.mask_ids import map_colours, map_ids, used_values
from keras_frm.data.stored_mask import StoredMask, read_stored_mask
from keras_frm.files import DataError, read_bytes, warn_of_data
from keras_frm.images.orientation import orientation, turns_sides
from keras_frm.images.reading import read_image
from keras_frm.labels import Colour, LabelSet

_SHOWN_VALUES = 8
_WHITE = (255, 255, 255)


class SizeMismatchError(DataError):
    """An image and its mask have different sizes."""


class AmbiguousMaskError(DataError):
    """What a mask stores can be read in two ways that differ."""


class UnknownIdsError(DataError):
    """A mask holds ids or colours outside the table; they are in `values`."""

    def __init__(self, message: str, values: tuple):
        super().__init__(message)
        self.values = values


def read_mask(
    path: str | Path, labels: LabelSet, *, train_ids: bool = False
) -> np.ndarray:
    """Read a mask as train ids.

    Grey and palette masks hold ids, RGB masks the colours of the classes. Where every
    colour that a palette shows is that of a class and the indices are other classes'
    ids, an image tool has saved a colour mask anew: the colours count, with a
    `DataWarning`. An RGB mask of equal channels that shows no class's colour holds ids.

    Args:
        path: A PNG, BMP, TIFF or GIF file.
        labels: The label set that says what the stored ids and colours mean.
        train_ids: The mask holds train ids, whatever `labels.ids` says.

    Returns:
        (H, W) uint8 train ids, `labels.ignore_label` where a pixel counts nowhere.

    Raises:
        UnknownIdsError: An id or a colour stands in no table.
        AmbiguousMaskError: Ids and colours contradict each other, or 255 may be a
            class.
        DataError: The file is missing, empty, truncated or not a mask.

    Example:
    >>> import os, tempfile
    >>> from keras_frm.files import write_png
    >>> from keras_frm.labels import CITYSCAPES
    >>> path = os.path.join(tempfile.mkdtemp(), "car.png")
    >>> write_png(path, np.full((1, 2), 26, np.uint8))
    >>> read_mask(path, CITYSCAPES)
    array([[13, 13]], dtype=uint8)
    """
    stored = read_stored_mask(path)
    if stored.kind == "colours":
        mask, unknown = map_colours(stored.values, labels.stored_colours())
        return _known(path, labels, mask, unknown, colours=True)
    ids = labels.stored_ids(train_ids=train_ids)
    stated = set(ids)
    if labels.ids and not train_ids:
        # Id 255 is ignored, but nobody said that the masks hold it.
        stated -= {labels.ignore_label} - labels.ids.keys() - labels.ignored_ids
    if stored.kind != "grey":
        return _read_shown(path, stored, labels, ids, stated)
    if labels.ignore_label not in stated and stored.values.dtype == np.uint8:
        _check_binary(path, stored.values, labels)
    return _known(path, labels, *map_ids(stored.values, ids))


def read_pair(
    image: str | Path, label: str | Path, labels: LabelSet, *, train_ids: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Read an image and its mask, which must have one size.

    Args:
        image: As for `read_image`.
        label: As for `read_mask`, with the arguments that follow.
        labels: As for `read_mask`.
        train_ids: As for `read_mask`.

    Returns:
        (H, W, 3) uint8 RGB and (H, W) uint8 train ids.

    Raises:
        SizeMismatchError: The two have different sizes.
        DataError: As for `read_image` and `read_mask`.
    """
    pixels = read_image(image)
    mask = read_mask(label, labels, train_ids=train_ids)
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


def _read_shown(
    path: str | Path,
    stored: StoredMask,
    labels: LabelSet,
    ids: dict[int, int],
    stated: set[int],
) -> np.ndarray:
    """Read a mask whose numbers are ids, or stand for the colours that are shown.

    Args:
        path: The file.
        stored: What it stores.
        labels: The classes.
        ids: Id -> train id.
        stated: The ids that somebody named.
    """
    used = used_values(stored.values)
    shown = {value: tuple(stored.shown[value].tolist()) for value in used}
    table = labels.stored_colours()
    by_colour = {v: table[colour] for v, colour in shown.items() if colour in table}
    others = [v for v, train_id in by_colour.items() if ids.get(v) != train_id]
    strange = [v for v in used if v not in by_colour]
    if stored.kind == "equal channels":
        if not strange:
            return map_ids(stored.values, by_colour)[0]
        if others or not stated.issuperset(used):
            unknown = tuple(shown[value] for value in strange)
            return _known(path, labels, stored.values, unknown, colours=True)
        return map_ids(stored.values, ids)[0]
    if others and not strange:
        warn_of_data(
            "Masks show the colours of the classes and store other numbers than their "
            "ids, as colour masks that an image tool saved with a palette: the colours "
            "count.",
            path,
        )
        return map_ids(stored.values, by_colour)[0]
    # Black for what is not labelled is in many palettes of ids, too.
    others = [v for v in others if by_colour[v] != labels.ignore_label]
    if others:
        raise AmbiguousMaskError(
            f"Mask '{path}' shows the colour of a class where it stores "
            f"{_listed(others)}, which is not its id, and the colour of no class where "
            f"it stores {_listed(strange)}. Save it as grey ids or as RGB colours.",
            path,
        )
    if stored.kind == "few bits":
        return _read_few_bits(path, stored, labels, ids, stated)
    return _known(path, labels, *map_ids(stored.values, ids))


def _read_few_bits(
    path: str | Path,
    stored: StoredMask,
    labels: LabelSet,
    ids: dict[int, int],
    stated: set[int],
) -> np.ndarray:
    """Read grey of 1, 2 or 4 bits: the samples are ids, or these scaled to 0..255."""
    scaled = stored.shown[stored.values, 0]  # (H, W)
    readings = [
        map_ids(values, ids)[0]
        for values in (stored.values, scaled)
        if stated.issuperset(used_values(values))
    ]
    if not readings:
        return _known(path, labels, *map_ids(stored.values, ids))
    if (readings[0] != readings[-1]).any():
        raise AmbiguousMaskError(
            f"Mask '{path}' is grey of less than 8 bits, whose values may be read in "
            f"two ways: as {_listed(used_values(stored.values))} or as "
            f"{_listed(used_values(scaled))}. Save it with 8 bits.",
            path,
        )
    return readings[0]


def _check_binary(path: str | Path, values: np.ndarray, labels: LabelSet) -> None:
    """Refuse a mask of 0 and 255, where 255 may well be a class."""
    white = labels.stored_colours().get(_WHITE, labels.ignore_label)
    if white == labels.ignore_label and labels.num_classes > 2:
        return
    used = used_values(values)
    if 255 not in used or not {0, 255}.issuperset(used):
        return
    if white == labels.ignore_label:
        name, remedy = "a class", "give that class the id 255"
    else:
        name = f"'{labels.classes[white]}', which is white"
        remedy = f"give '{labels.classes[white]}' the id 255 or save the masks as RGB"
    raise AmbiguousMaskError(
        f"Mask '{path}' is grey and holds no value but 0 and 255, and the class file "
        f"does not say whether 255 is {name}. If it is, {remedy}; if it is not "
        "labelled, add the row 255,ignore,,,",
        path,
    )


def _known(
    path: str | Path,
    labels: LabelSet,
    mask: np.ndarray,
    unknown: tuple[int | Colour, ...],
    *,
    colours: bool = False,
) -> np.ndarray:
    """Return the mask, or raise where something in it stands in no table."""
    if not unknown:
        return mask
    kind = "colours" if colours else "ids"
    remedy = "give the class its colour" if colours else "add them to it"
    raise UnknownIdsError(
        f"Mask '{path}' holds {kind} that are not in the label table "
        f"'{labels.name}': {_listed(unknown)}. Correct the mask, or {remedy}.",
        unknown,
    )


def _listed(values) -> str:
    shown = ", ".join(str(value) for value in values[:_SHOWN_VALUES])
    more = len(values) - _SHOWN_VALUES
    return shown + (f" and {more} more" if more > 0 else "")


def _size(array: np.ndarray) -> str:
    # As people write it, width first.
    return f"{array.shape[1]}x{array.shape[0]}"
