"""The class file of a user's own dataset: a CSV table `id,name,r,g,b`."""

import csv
import io
import itertools
from collections.abc import Iterable
from pathlib import Path

from keras_frm.data.class_exports import EXPORTED_CLASS_FILES
from keras_frm.data.csv_rows import csv_rows
from keras_frm.files import DataError
from keras_frm.labels import IGNORED_NAMES, Colour, LabelSet

_HEADER = ["id", "name", "r", "g", "b"]
_MAX_CLASSES = 255  # train ids are uint8 and 255 is "ignore"
_MAX_ID = 65535  # masks have 8 or 16 bits


def read_class_file(path: str | Path) -> LabelSet:
    r"""Read the classes of a user's own dataset.

    Each row is a class: `id` is what masks store and the colour is what RGB masks
    store. The order gives the train ids. More rows of the same name add ids or colours
    to a class. Rows named `ignore` or `void` say what is not labelled. These and the
    added ones need only an id or only a colour. Id 255 is not labelled unless it is a
    class.

    Args:
        path: A CSV file in UTF-8 with the header `id,name,r,g,b`, or a class file of a
            labelling tool under its own name: `labelmap.txt` (CVAT), `_classes.csv`
            (Roboflow), `class_dict.csv` or `label_colors.txt` (CamVid).

    Returns:
        The label set.

    Raises:
        DataError: The file is missing, too large or wrong; the message names the line.

    Example:
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "classes.csv")
    >>> with open(path, "w") as file:
    ...     _ = file.write("id,name,r,g,b\n1,road,128,64,128\n2,road,,,\n,void,0,0,0\n")
    >>> labels = read_class_file(path)
    >>> labels.classes, dict(labels.ids), labels.ignored_colours
    (('road',), {1: 0, 2: 0}, frozenset({(0, 0, 0)}))
    """
    path = Path(path)
    read_rows = EXPORTED_CLASS_FILES.get(path.name)
    table = _ClassTable()
    for line, row in read_rows(path) if read_rows else csv_rows(path, _HEADER):
        try:
            table.add(row, line)
        except ValueError as error:
            raise DataError(f"'{path}', line {line}: {error}.") from None
    if not table.palette:
        raise DataError(
            f"'{path}' has no class. Add a row for each one, as: 0,road,128,64,128"
        )
    return LabelSet(
        name="folder",
        classes=tuple(table.palette),
        palette=tuple(table.palette.values()),
        ids=table.ids,
        ignored_ids=frozenset(table.ignored_ids),
        colour_ids=table.colour_ids,
        ignored_colours=frozenset(table.ignored_colours),
    )


def class_file_text(labels: LabelSet) -> str:
    r"""Return a class file that `read_class_file` reads as these classes.

    Args:
        labels: Classes with `ids`.

    Example:
    >>> labels = LabelSet("own", ("road",), ((1, 2, 3),), {0: 0}, frozenset({255}))
    >>> class_file_text(labels)
    'id,name,r,g,b\n0,road,1,2,3\n255,ignore,,,\n'
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_HEADER)
    for number, (name, colour) in enumerate(
        zip(labels.classes, labels.palette, strict=True)
    ):
        ids = [stored for stored, train in labels.ids.items() if train == number]
        others = [c for c, train in labels.colour_ids.items() if train == number]
        writer.writerows(_rows(name, ids, dict.fromkeys([colour, *others])))
    ignored = sorted(labels.ignored_ids), sorted(labels.ignored_colours)
    writer.writerows(_rows(IGNORED_NAMES[0], *ignored))
    return buffer.getvalue()


def _rows(name: str, ids: Iterable[int], colours: Iterable[Colour]):
    for stored, colour in itertools.zip_longest(ids, colours):
        number = "" if stored is None else stored
        yield number, name, *(colour or ("", "", ""))


class _ClassTable:
    """The rows read so far, with the class and line of each id and colour."""

    def __init__(self):
        self.palette: dict[str, Colour] = {}
        self.ids: dict[int, int] = {}
        self.colour_ids: dict[Colour, int] = {}
        self.ignored_ids: set[int] = set()
        self.ignored_colours: set[Colour] = set()
        self._claims: dict[int | Colour, tuple[str, int]] = {}

    def add(self, row: list[str], line: int):
        """Add a row; a ValueError says what is wrong with it."""
        if len(row) != len(_HEADER):
            raise ValueError(f"{len(row)} fields where {','.join(_HEADER)} are needed")
        name = row[1].strip()
        ignored = name.lower() in IGNORED_NAMES
        if not name or not name.isprintable():
            raise ValueError("the name is empty or not printable")
        new = not ignored and name not in self.palette
        if new and len(self.palette) == _MAX_CLASSES:
            raise ValueError(
                f"more than {_MAX_CLASSES} classes, which uint8 can't hold"
            )
        stored_id, colour = _parse_row(row, whole=new)
        if ignored:
            self.ignored_ids |= self._claim(stored_id, IGNORED_NAMES[0], line)
            self.ignored_colours |= self._claim(colour, IGNORED_NAMES[0], line)
            return
        ids = self._claim(stored_id, name, line)
        colours = self._claim(colour, name, line)
        if new:
            self.palette[name] = colour
        train_id = list(self.palette).index(name)
        self.ids.update(dict.fromkeys(ids, train_id))
        self.colour_ids.update(dict.fromkeys(colours, train_id))

    def _claim(self, value: int | Colour | None, name: str, line: int) -> set:
        """Return what a row names, none or one; for two classes it is an error."""
        if value is None:
            return set()
        owner, first = self._claims.setdefault(value, (name, line))
        if owner != name:
            kind = "colour" if isinstance(value, tuple) else "id"
            raise ValueError(f"{kind} {value} is already used in line {first}")
        return {value}


def _parse_row(row: list[str], whole: bool) -> tuple[int | None, Colour | None]:
    """Return id and colour; where a row need not be whole, one of them may be None."""
    has_id, has_colour = bool(row[0].strip()), any(field.strip() for field in row[2:])
    if not whole and not has_id and not has_colour:
        raise ValueError(
            "an ignored row, or one more of a class, needs an id or a colour"
        )
    return (
        _parse_id(row[0]) if whole or has_id else None,
        _parse_colour(row[2:]) if whole or has_colour else None,
    )


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
