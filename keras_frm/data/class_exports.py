"""Class files as labelling tools export them, as rows of our own `id,name,r,g,b`."""

import re
from collections.abc import Callable
from pathlib import Path

from keras_frm.data.csv_rows import csv_rows, read_lines
from keras_frm.files import DataError
from keras_frm.labels import numbered_labels

Rows = list[tuple[int, list[str]]]

_LABELMAP_LINE = re.compile(r"(.+?):(\d+),(\d+),(\d+)(?::.*)?")
_COLOURS_LINE = re.compile(r"(\d+)\s+(\d+)\s+(\d+)\s+(.+)")


def _roboflow(path: Path) -> Rows:
    """Read `_classes.csv` of Roboflow: ids and names; colours are made."""
    rows = csv_rows(path, ["Pixel Value", "Class"])
    for line, row in rows:
        if len(row) != 2:
            raise DataError(f"'{path}', line {line}: {len(row)} fields where 2 belong.")
    colours = numbered_labels(len(rows)).palette
    return [
        (line, [stored_id, name, *map(str, colour)])
        for (line, (stored_id, name)), colour in zip(rows, colours, strict=True)
    ]


def _class_dict(path: Path) -> Rows:
    """Read `class_dict.csv`: names and colours; the position is the id."""
    rows = csv_rows(path, ["name", "r", "g", "b"])
    return [(line, [str(n), *row]) for n, (line, row) in enumerate(rows)]


def _labelmap(path: Path) -> Rows:
    """Read `labelmap.txt` of CVAT and Datumaro; the position is the id."""
    content = "lines as name:r,g,b:parts:actions"
    return [
        (line, [str(n), found[1], *found.groups()[1:]])
        for n, (line, found) in enumerate(_matches(path, _LABELMAP_LINE, content))
    ]


def _label_colours(path: Path) -> Rows:
    """Read `label_colors.txt` of CamVid; the position is the id."""
    content = "lines as r g b name"
    return [
        (line, [str(n), found[4], *found.groups()[:3]])
        for n, (line, found) in enumerate(_matches(path, _COLOURS_LINE, content))
    ]


def _matches(path: Path, pattern: re.Pattern, content: str):
    """Return line number and match of each line that is no comment and not blank."""
    found = []
    for number, text in enumerate(read_lines(path, content), start=1):
        text = text.strip()
        if not text or text.startswith("#"):
            continue
        match = pattern.fullmatch(text)
        if match is None:
            raise DataError(f"'{path}', line {number}: it needs {content}.")
        found.append((number, match))
    return found


# File name -> its reader, the surest first.
EXPORTED_CLASS_FILES: dict[str, Callable[[Path], Rows]] = {
    "labelmap.txt": _labelmap,
    "_classes.csv": _roboflow,
    "class_dict.csv": _class_dict,
    "label_colors.txt": _label_colours,
}
