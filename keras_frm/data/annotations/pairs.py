"""Where the images of annotations are, and what their pairs are called."""

import os
import shutil
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from keras_frm.data.annotations.annotated import AnnotatedImage, Annotations
from keras_frm.files import DataError, is_system_path, read_bytes, replacing
from keras_frm.images.orientation import orientation, turns_sides
from keras_frm.images.reading import IMAGE_SUFFIXES, image_size


@dataclass(frozen=True)
class AnnotatedPair:
    """An image with its annotation, and the pair that is made of it.

    Args:
        annotated: What the annotation says.
        source: The image, None where it was not found.
        image: Its name in the dataset.
        mask: Name of its mask.
    """

    annotated: AnnotatedImage
    source: Path | None
    image: Path
    mask: Path


def pairs_of(
    annotations: Iterable[Annotations], root: Path, split: str, folder: Path | None
) -> list[AnnotatedPair]:
    """Name the pairs of a split, below `images` and `masks` of a dataset.

    Args:
        annotations: What was read for it.
        root: The dataset's folder.
        split: Name of the folder below both.
        folder: The images' folder; None for where annotations say, or beside them, or
            in the dataset.

    Raises:
        DataError: Two images would have one mask.
    """
    pairs: dict[str, AnnotatedPair] = {}
    for read in annotations:
        near = read.path if read.path.is_dir() else read.path.parent
        guesses = (near, near / "images", root / "images" / split)
        for annotated in read.images:
            image = root / "images" / split / annotated.name
            mask = root / "masks" / split / Path(annotated.name).with_suffix(".png")
            source = _find(annotated, folder, guesses)
            pair = AnnotatedPair(annotated, source, image, mask)
            # Accents as they are paired later, whichever way a name has them.
            other = pairs.setdefault(unicodedata.normalize("NFC", str(mask)), pair)
            if other is not pair:
                raise DataError(
                    f"'{other.annotated.name}' and '{annotated.name}' of '{read.path}' "
                    f"would have one mask, '{mask}'. Rename one of them, or take it "
                    "out of the annotations."
                )
    return list(pairs.values())


def obstacle(pair: AnnotatedPair) -> tuple[str, str] | None:
    """Return why a pair cannot be made, as a kind and a detail, None if it can.

    Raises:
        DataError: The image cannot be read.
    """
    name = pair.annotated.name
    if pair.image.suffix.lower() not in IMAGE_SUFFIXES:
        return "not a name of an image", f"Known are {', '.join(IMAGE_SUFFIXES)}."
    if is_system_path(name):
        return "hidden image", "Datasets are read without such files. Rename it."
    if pair.source is None:
        return "no image", "It is in none of the folders where images are looked for."
    if pair.image.exists() and not pair.image.samefile(pair.source):
        return "another image of this name", f"'{pair.image}' is there. Remove it."
    return _size_obstacle(pair.source, pair.annotated.size)


def link_image(pair: AnnotatedPair) -> None:
    """Put a link to the image into the dataset, or a copy where there are no links."""
    if pair.image.exists():
        return
    with replacing(pair.image) as unfinished:
        try:
            unfinished.symlink_to(pair.source.resolve())
        except OSError:  # Windows lets few users make links
            shutil.copyfile(pair.source, unfinished)


def _find(annotated: AnnotatedImage, folder: Path | None, guesses: Sequence[Path]):
    """Return the file of an image, None where there is none.

    A name is taken with its folders, for another folder may have an image of that name.
    """
    name = Path(annotated.name)
    if folder is None:
        places = [guess / name for guess in guesses]
        places[:0] = [annotated.given] if annotated.given else []
    else:
        names = [name.with_name(annotated.given.name)] if annotated.given else []
        places = [folder / tried for tried in (*names, name)]
    return next((place for place in places if os.path.isfile(place)), None)


def _size_obstacle(
    source: Path, annotated: tuple[int, int] | None
) -> tuple[str, str] | None:
    """Compare the size that an annotation gives with that of the stored pixels.

    Labelling tools show images as EXIF turns them, and training reads them as stored.
    """
    stored = image_size(source)
    tag = orientation(read_bytes(source))
    size_tells = annotated is not None and turns_sides(tag) and stored[0] != stored[1]
    if tag != 1 and not size_tells:
        return (
            "EXIF orientation",
            f"{tag}: the shapes fit the image as stored and as turned. Save it upright "
            "and look whether they fit: mogrify -auto-orient FILE",
        )
    if annotated in (None, stored):
        return None
    sizes = f"The annotation is of {_shown(annotated)}, the image of {_shown(stored)}."
    if tag != 1 and annotated == stored[::-1]:
        return (
            "EXIF orientation",
            f"{sizes} It was annotated as EXIF orientation {tag} turns it. Save it "
            "upright: mogrify -auto-orient FILE",
        )
    return "size mismatch", sizes


def _shown(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"
