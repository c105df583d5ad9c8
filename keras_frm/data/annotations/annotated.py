"""What a reader of annotations gives: images with their shapes, and the class names."""

from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from keras_frm.data.annotations.fields import checked_size, text_of, whole_number
from keras_frm.data.annotations.shapes import Polygon, Runs
from keras_frm.data.findings import Finding
from keras_frm.files import DataError


@dataclass(frozen=True)
class AnnotatedImage:
    """An image that an annotation file names.

    Args:
        name: Path of the image below its folder, as "cam1/0001.jpg".
        size: Height and width that the annotation gives, pixels; None for none.
        shapes: What is in it; a later one lies on top of an earlier one.
        given: Where the annotation itself says that the file is; None for below the
            folder of images.
    """

    name: str
    size: tuple[int, int] | None
    shapes: tuple[Polygon | Runs, ...]
    given: Path | None = None


@dataclass(frozen=True)
class Annotations:
    """What an annotation file, or a folder of them, holds.

    Args:
        path: The file or folder.
        classes: Names of the classes in the format's order, used or not.
        images: The images.
        findings: What was left out.
    """

    path: Path
    classes: tuple[str, ...]
    images: tuple[AnnotatedImage, ...]
    findings: tuple[Finding, ...] = ()


def wrong(path: Path, kind: str, error: object, where: str = "") -> DataError:
    """Return the one line for an annotation file that is not as its format says."""
    place = f"{where}: " if where else ""
    return DataError(
        f"Cannot read '{path}' as {kind}: {place}{error}. Correct it, or export it "
        "anew.",
        path,
    )


def image_name(value: object) -> str:
    r"""Return the path of an image below its folder, with / between folders.

    Raises:
        ValueError: It is none, or leads out of the folder.

    Example:
    >>> image_name("cam1\\a.jpg")
    'cam1/a.jpg'
    >>> image_name("../a.jpg")
    Traceback (most recent call last):
    ValueError: the image '../a.jpg' leads out of the folder of images
    """
    name = text_of(value, "the name of an image")
    path = PureWindowsPath(name)  # / and \\ both part folders there
    if path.anchor or not path.name or ".." in path.parts:
        raise ValueError(f"the image '{name}' leads out of the folder of images")
    return path.as_posix()


def image_size(height: object, width: object) -> tuple[int, int] | None:
    """Return height and width, None where both are missing."""
    if height is None and width is None:
        return None
    return checked_size(
        whole_number(height, "the height"), whole_number(width, "the width")
    )
