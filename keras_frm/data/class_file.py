"""The class file of a user's own dataset: a CSV table `id,name,r,g,b`."""

import csv
from pathlib import Path

from keras_frm.files import DataError
from keras_frm.labels import IGNORE_LABEL, LabelSet

_HEADER = ["id", "name", "r", "g", "b"]
_IGNORED_NAMES = ("ignore", "void")
_MAX_BYTES = 64 * 1024
_MAX_CLASSES = 255  # train ids are uint8 and 255 is "ignore"
_MAX_ID = 65535  # masks have 8 or 16 bits

Colour = tuple[int, int, int]


def read_class_file(path: str | Path) -> tuple[LabelSet, frozenset[Colour]]:
    r"""Read the classes of a user's own dataset.

    Each row is a class; its position is its train id, `id` is what masks store and
    the colour is what RGB masks store. Rows named `ignore` or `void` say what is not
    labelled and need only an id or only a colour. Id 255 is not labelled unless it is
    a class.

    Args:
        path: A CSV file in UTF-8 with the header `id,name,r,g,b`.

    Returns:
        The label set, and the RGB colours that mean "not labelled".

    Raises:
        DataError: The file is missing, too large or wrong; the message names the line.

    Example:
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "classes.csv")
    >>> with open(path, "w") as file:
    ...     _ = file.write("id,name,r,g,b\n1,road,128,64,128\n,void,0,0,0\n")
    >>> labels, ignored_colours = read_class_file(path)
    >>> labels.classes, dict(labels.ids), ignored_colours
    (('road',), {1: 0}, frozenset({(0, 0, 0)}))
    """
    table = _ClassTable()
    for line, row in _rows(Path(path)):
        try:
            table.add(row, line)
        except ValueError as error:
            raise DataError(f"'{path}', line {line}: {error}.") from None
    if not table.names:
        raise DataError(
            f"'{path}' has no class. Add a row for each one, as: 0,road,128,64,128"
        )
    ids = {stored_id: train_id for train_id, stored_id in enumerate(table.class_ids)}
    labels = LabelSet(
        name="folder",
        classes=tuple(table.names),
        palette=tuple(table.colours),
        ids=ids,
        ignored_ids=frozenset({*table.ignored_ids, IGNORE_LABEL} - ids.keys()),
    )
    return labels, frozenset(table.ignored_colours)


class _ClassTable:
    """The rows read so far, with the line each id, name and colour came from."""

    def __init__(self):
        self.names: list[str] = []
        self.class_ids: list[int] = []
        self.colours: list[Colour] = []
        self.ignored_ids: set[int] = set()
        self.ignored_colours: set[Colour] = set()
        self._lines: dict[object, int] = {}

    def add(self, row: list[str], line: int):
        """Add a row; a ValueError says what is wrong with it."""
        if len(row) != len(_HEADER):
            raise ValueError(f"{len(row)} fields where {','.join(_HEADER)} are needed")
        name = row[1].strip()
        if name.lower() in _IGNORED_NAMES:
            self._add_ignored(row, line)
            return
        if not name or not name.isprintable():
            raise ValueError("the name is empty or not printable")
        if len(self.names) == _MAX_CLASSES:
            raise ValueError(
                f"more than {_MAX_CLASSES} classes, which uint8 can't hold"
            )
        stored_id, colour = _parse_id(row[0]), _parse_colour(row[2:])
        self._claim(name, f"the name '{name}'", line)
        self._claim(stored_id, f"id {stored_id}", line)
        self._claim(colour, f"colour {colour}", line)
        self.names.append(name)
        self.class_ids.append(stored_id)
        self.colours.append(colour)

    def _add_ignored(self, row: list[str], line: int):
        has_id, has_colour = bool(row[0].strip()), any(f.strip() for f in row[2:])
        if not has_id and not has_colour:
            raise ValueError("an ignored row needs an id or a colour")
        if has_id:
            stored_id = _parse_id(row[0])
            self._claim(stored_id, f"id {stored_id}", line)
            self.ignored_ids.add(stored_id)
        if has_colour:
            colour = _parse_colour(row[2:])
            self._claim(colour, f"colour {colour}", line)
            self.ignored_colours.add(colour)

    def _claim(self, value: object, text: str, line: int):
        """Note where a value was used; twice is an error."""
        if value in self._lines:
            raise ValueError(f"{text} is already used in line {self._lines[value]}")
        self._lines[value] = line


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return the rows below the header that are not blank, with their line numbers."""
    if not path.is_file():
        raise DataError(
            f"There is no class file '{path}'. Write one with the header "
            f"{','.join(_HEADER)} and a row for each class."
        )
    if path.stat().st_size > _MAX_BYTES:
        raise DataError(f"Class file '{path}' is over {_MAX_BYTES} bytes. Shorten it.")
    try:
        # Spreadsheets write a byte order mark, which utf-8-sig takes off.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            rows = [(reader.line_num, row) for row in reader if any(row)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"Class file '{path}' is not CSV in UTF-8 ({error}). Save it as that."
        ) from error
    header = [field.strip().lower() for field in rows[0][1]] if rows else []
    if header != _HEADER:
        raise DataError(
            f"Class file '{path}' does not start with the header {','.join(_HEADER)}. "
            "Write it into the first line."
        )
    return rows[1:]


def _parse_id(text: str) -> int:
    return _parse_number(text, _MAX_ID, "id")


def _parse_colour(fields: list[str]) -> Colour:
    red, green, blue = (_parse_number(field, 255, "colour value") for field in fields)
    return red, green, blue


def _parse_number(text: str, highest: int, what: str) -> int:
    """Parse a decimal integer from 0 to `highest`, and nothing else `int` takes."""
    text = text.strip()
    if not (text.isascii() and text.isdecimal() and len(text) <= 5):
        raise ValueError(f"{what} '{text[:20]}' is not a whole number")
    if int(text) > highest:
        raise ValueError(f"{what} {text} is over {highest}")
    return int(text)
