"""What a dataset reader finds on disk: pairs of files, and what is left over."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_frm.data.reading import read_pair
from keras_frm.files import DataError, is_system_path
from keras_frm.images.finding import locator, unique_files
from keras_frm.labels import LabelSet

# Endings of images; copies of a dataset are often encoded again.
PHOTOS = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Pair:
    """An image file and its mask file.

    Args:
        image: Path of the image.
        label: Path of the mask.
        train_ids: The mask holds train ids, whatever the label set's `ids` say.
    """

    image: Path
    label: Path
    train_ids: bool = False


@dataclass(frozen=True)
class Listing:
    """The files of one split of a dataset, sorted.

    Args:
        labels: The classes.
        pairs: Images with their masks.
        unpaired_images: Images without a mask.
        unpaired_labels: Masks without an image.
        skipped: Files left out on purpose, each with the reason.

    Example:
    >>> from keras_frm.labels import CAMVID
    >>> Listing(CAMVID, pairs=()).labels.num_classes
    11
    """

    labels: LabelSet
    pairs: tuple[Pair, ...]
    unpaired_images: tuple[Path, ...] = ()
    unpaired_labels: tuple[Path, ...] = ()
    skipped: tuple[tuple[Path, str], ...] = ()

    def read(self, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
        """Read a pair: (H, W, 3) uint8 RGB and (H, W) uint8 train ids."""
        return read_pair(pair.image, pair.label, self.labels, train_ids=pair.train_ids)


class MissingFolderError(DataError):
    """A dataset has no folder of a name."""


class NoPairsError(DataError):
    """No image has a mask."""


def require_folder(folder: Path, layout: str) -> Path:
    """Return `folder`, or raise an error that says how the layout should be."""
    if folder.is_dir():
        return folder
    found = ""
    if folder.parent.is_dir():
        names = sorted(
            path.name
            for path in folder.parent.iterdir()
            if path.is_dir() and not is_system_path(path.name)
        )
        found = f" '{folder.parent}' holds {', '.join(names[:10]) or 'no folders'}."
    raise MissingFolderError(
        f"There is no folder '{folder}'.{found} Expected: {layout}."
    )


def key_by_stem(
    files: Iterable[Path], folder: Path, suffix: str = ""
) -> dict[str, Path]:
    """Key files by their path inside `folder` without ending and without `suffix`.

    Accents are composed: macOS writes a letter and its accent as two characters.
    """
    keyed: dict[str, Path] = {}
    for path in files:
        key = path.relative_to(folder).with_suffix("").as_posix()
        key = unicodedata.normalize("NFC", key.removesuffix(suffix))
        if key in keyed:
            raise DataError(
                f"'{keyed[key]}' and '{path}' have one stem, so their partner is "
                "ambiguous. Remove or rename one of them."
            )
        keyed[key] = path
    return keyed


def match(
    images: Mapping[str, Path], masks: Mapping[str, Path], layout: str
) -> tuple[tuple[Pair, ...], tuple[Path, ...], tuple[Path, ...]]:
    """Pair the files with equal keys.

    Links to folders may give a pair several keys: it counts once, by the first.

    Args:
        images: Key -> image.
        masks: Key -> mask.
        layout: How the folders should look, for the error.

    Returns:
        The pairs, the images and the masks that are left over, each sorted.

    Raises:
        NoPairsError: There is no pair at all.

    Example:
    >>> match({"a": Path("a.jpg"), "b": Path("b.jpg")}, {"a": Path("a.png")}, "")[1]
    (PosixPath('b.jpg'),)
    """
    location = locator()
    unique: dict[tuple, Pair] = {}
    for key in sorted(images.keys() & masks.keys()):
        pair = Pair(images[key], masks[key])
        unique.setdefault((location(pair.image), location(pair.label)), pair)
    pairs = tuple(unique.values())
    if not pairs:
        raise NoPairsError(
            f"No image has a mask: {len(images)} images and {len(masks)} masks were "
            f"found{_one_of_each(images, masks)}. Expected: {layout}."
        )
    return (
        pairs,
        _left_over(images, (pair.image for pair in pairs)),
        _left_over(masks, (pair.label for pair in pairs)),
    )


def _one_of_each(images: Mapping[str, Path], masks: Mapping[str, Path]) -> str:
    if not images or not masks:
        return ""
    image, mask = min(images.values()), min(masks.values())
    return f", as '{image.name}' and '{mask.name}'"


def _left_over(files: Mapping[str, Path], paired: Iterable[Path]) -> tuple[Path, ...]:
    """Return the files that are not paired by any of their names, each once."""
    location = locator()
    taken = set(map(location, paired))
    unpaired = (files[key] for key in sorted(files))
    return tuple(p for p in unique_files(unpaired) if location(p) not in taken)
