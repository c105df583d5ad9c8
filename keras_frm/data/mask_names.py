"""Masks whose names are those of their images with something added."""

from collections.abc import Iterable, Mapping
from pathlib import Path

_SEPARATORS = "_-. "
# What datasets add to the names of images: Cityscapes and IDD, DeepGlobe, others.
_IMAGE_ENDINGS = ("_leftImg8bit", "_sat", "_image", "_img", "_rgb")


def without_endings(
    images: Mapping[str, Path], masks: Mapping[str, Path]
) -> tuple[dict[str, Path], dict[str, Path]]:
    """Key images and masks alike where all masks add the same to their image's name.

    `a_mask.png` is the mask of `a.jpg` where every mask ends with `_mask` and is that
    of an image; so is `a.jpg.png`, and `a_gtFine_labelIds.png` of `a_leftImg8bit.png`.

    Args:
        images: Stem -> image.
        masks: Stem -> mask.

    Returns:
        Both with equal keys for those that belong together; as they were where some
        have one already, or where what the masks add is not the same for all.

    Example:
    >>> images, masks = {"a": Path("a.jpg")}, {"a_L": Path("a_L.png")}
    >>> without_endings(images, masks)[1]
    {'a': PosixPath('a_L.png')}
    """
    images, masks = dict(images), dict(masks)
    if not masks or images.keys() & masks.keys():
        return images, masks
    by_name = {_full_name(stem, path): path for stem, path in images.items()}
    if masks.keys() <= by_name.keys():
        return by_name, masks
    for ending in ("", *_IMAGE_ENDINGS):
        if not all(stem.endswith(ending) for stem in images):
            continue
        shortened = {stem.removesuffix(ending): path for stem, path in images.items()}
        added = _added(shortened.keys(), masks)
        if added is not None:
            return shortened, {stem.removesuffix(added): p for stem, p in masks.items()}
    return images, masks


def _full_name(stem: str, path: Path) -> str:
    return stem + path.suffix


def _added(images: Iterable[str], masks: Iterable[str]) -> str | None:
    """Return what every mask has behind the name of an image, None if not the same."""
    images, (first, *others) = set(images), masks
    endings = (first[len(stem) :] for stem in images if first.startswith(stem))
    for ending in sorted(filter(_is_word, endings), key=len):
        if all(m.endswith(ending) and m.removesuffix(ending) in images for m in others):
            return ending
    return None


def _is_word(ending: str) -> bool:
    """Tell an ending from the rest of a name: `_mask`, but not `_2`."""
    letters = any(character.isalpha() for character in ending)
    return letters and ending.startswith(tuple(_SEPARATORS)) and "/" not in ending
