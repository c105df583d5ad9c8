"""Annotation files of every format, told apart by what they hold."""

import json
from pathlib import Path

from keras_frm.data.annotations import coco, cvat, labelme
from keras_frm.data.annotations.annotated import Annotations
from keras_frm.files import DataError, read_bytes
from keras_frm.images.finding import find_files

_KNOWN = (
    f"Known are {coco.KIND} (JSON), {labelme.KIND} (a folder of JSON files) and "
    f"{cvat.KIND} (XML)."
)
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


def read_annotations(path: str | Path) -> Annotations:
    """Read annotations of any format that is known.

    Args:
        path: A file of COCO or CVAT, or a file or folder of LabelMe.

    Returns:
        The images with their shapes, and what was left out.

    Raises:
        DataError: It is of another format, or not as its format says.

    Example:
    >>> read_annotations("/nowhere.json")
    Traceback (most recent call last):
    keras_frm.files.DataError: There is no file '/nowhere.json'. Check the path.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return _read_folder(path)
    data = read_bytes(path)
    if _starts_with(data, b"<"):
        return cvat.read_cvat(path, data)
    content = _parsed(path, data)
    if coco.is_coco(content):
        return coco.read_coco(path, content)
    if labelme.is_labelme(content):
        return labelme.read_labelme(path, path.parent, content)
    raise _unknown(path)


def _read_folder(folder: Path) -> Annotations:
    """Read the JSON files of LabelMe below a folder."""
    files = find_files(folder, [".json"])
    parts = []
    for path in files:
        content = _parsed(path, read_bytes(path))
        if not labelme.is_labelme(content):
            raise DataError(
                f"'{path}' is no file of {labelme.KIND}, as those of a folder must be. "
                "Move it away, or name the file of another format instead of its "
                "folder."
            )
        parts.append(labelme.read_labelme(path, folder, content))
    if not parts:
        raise DataError(f"'{folder}' holds no JSON file. {_KNOWN}")
    return Annotations(
        folder,
        tuple(sorted({name for part in parts for name in part.classes})),
        tuple(image for part in parts for image in part.images),
        tuple(found for part in parts for found in part.findings),
    )


def _parsed(path: Path, data: bytes) -> object:
    """Return what a JSON file holds."""
    if not (_starts_with(data, b"{") or _starts_with(data, b"[")):
        raise _unknown(path)
    try:
        return json.loads(data)
    except RecursionError:
        reason = "its lists are nested too deeply"
    except ValueError as error:
        reason = f"it is no JSON ({error})"
    raise DataError(f"Cannot read '{path}': {reason}. Export it anew.", path)


def _starts_with(data: bytes, character: bytes) -> bool:
    """Tell whether a text begins with a character, in UTF-8 or UTF-16."""
    start = data[:64]
    for mark in _BYTE_ORDER_MARKS:
        start = start.removeprefix(mark)
    return start.replace(b"\0", b"").lstrip().startswith(character)


def _unknown(path: Path) -> DataError:
    archive = " It is an archive: unpack it." if _is_archive(path) else ""
    return DataError(
        f"'{path}' is no annotation file of a known format.{archive} {_KNOWN}", path
    )


def _is_archive(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"PK\3\4"
