"""From the names that annotations use to the ids that masks store."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from keras_frm.data.class_file import read_class_file
from keras_frm.files import DataError
from keras_frm.labels import (
    IGNORE_LABEL,
    IGNORED_NAMES,
    ONE_CLASS,
    LabelSet,
    numbered_labels,
)

BACKGROUND, IGNORE = "background", IGNORED_NAMES[0]
_LONGEST_NAME = 200  # bytes; 255 of them fit the largest class file


@dataclass(frozen=True)
class ClassIds:
    """The classes of masks, and the id that each name of an annotation becomes.

    Args:
        labels: The classes.
        ids: Name of a class -> the id that masks store.
        unlabelled: The id of pixels without an annotation.
    """

    labels: LabelSet
    ids: dict[str, int]
    unlabelled: int

    def knows(self, name: str) -> bool:
        """Return whether a name of an annotation has an id."""
        background = _plain(name) == BACKGROUND and self.background is not None
        return name in self.ids or _plain(name) in IGNORED_NAMES or background

    def id_of(self, name: str) -> int:
        """Return the id for a name of an annotation that is known."""
        if name in self.ids:
            return self.ids[name]
        return self.background if _plain(name) == BACKGROUND else IGNORE_LABEL

    @property
    def background(self) -> int | None:
        """The id of the class that is the background, None for none."""
        found = (n for name, n in self.ids.items() if _plain(name) == BACKGROUND)
        return next(found, None)


def numbered_classes(names: Sequence[str], unlabelled: str) -> ClassIds:
    """Number the classes of annotations.

    A class named `ignore` or `void` is not trained, and one named `background` is that
    of pixels without annotation; LabelMe's `_background_` and `__ignore__` are these.

    Args:
        names: Of the classes, in the order of their ids; a name may come again.
        unlabelled: "background", which is class 0 then, or "ignore".

    Raises:
        DataError: There are no names or too many, or two differ in case or spaces only.

    Example:
    >>> numbered_classes(["road", "car"], "background").ids
    {'background': 0, 'road': 1, 'car': 2}
    """
    classes = [name for name in dict.fromkeys(names) if not _has_meaning(name)]
    if unlabelled == BACKGROUND or any(_plain(name) == BACKGROUND for name in names):
        classes.insert(0, BACKGROUND)
    _check_names(classes)
    if not names:
        raise DataError("The annotations name no class.")
    if len(classes) < 2:
        raise DataError(ONE_CLASS)
    if len(classes) > IGNORE_LABEL:
        raise DataError(
            f"The annotations have {len(classes)} classes and masks of 8 bits have "
            f"room for {IGNORE_LABEL}. Write a class file with those that you need."
        )
    colours = ((0, 0, 0), *numbered_labels(len(classes)).palette)
    first = 0 if classes[0] == BACKGROUND else 1
    labels = LabelSet(
        name="folder",
        classes=tuple(classes),
        palette=colours[first : first + len(classes)],
        ids={number: number for number in range(len(classes))},
        ignored_ids=frozenset({IGNORE_LABEL}),
    )
    ids = {name: number for number, name in enumerate(classes)}
    return ClassIds(labels, ids, 0 if unlabelled == BACKGROUND else IGNORE_LABEL)


def classes_of_file(path: str | Path, used: Sequence[str], unlabelled: str) -> ClassIds:
    """Take the classes and ids of a class file.

    Args:
        path: As for `read_class_file`.
        used: Names that the annotations use.
        unlabelled: "background", which the file must have a class for, or "ignore".

    Raises:
        DataError: The file is wrong, has no class of a name that is used, or has one
            whose id does not fit.
    """
    labels = read_class_file(path)
    labels = replace(labels, ignored_ids=labels.ignored_ids | {IGNORE_LABEL})
    ids = {}
    for stored, number in sorted(labels.ids.items()):
        ids.setdefault(labels.classes[number], stored)
    table = ClassIds(labels, ids, IGNORE_LABEL)
    _check_ids(path, table, used)
    if unlabelled == IGNORE:
        return table
    if table.background is None:
        raise DataError(
            f"'{path}' has no class '{BACKGROUND}' for the pixels without annotation. "
            "Add a row for it, or have them ignored.",
            path,
        )
    return replace(table, unlabelled=table.background)


def _check_ids(path: str | Path, table: ClassIds, used: Sequence[str]) -> None:
    unknown = [name for name in used if not table.knows(name)]
    if unknown:
        raise DataError(
            f"'{path}' has no class {_listed(unknown)}, which the annotations use. Add "
            f"a row for each. It has: {', '.join(table.labels.classes)}.",
            path,
        )
    large = [name for name, stored in table.ids.items() if stored >= IGNORE_LABEL]
    if large:
        raise DataError(
            f"'{path}' gives {_listed(large)} an id over {IGNORE_LABEL - 1}, which a "
            "mask of 8 bits has no room for.",
            path,
        )


def _check_names(names: list[str]) -> None:
    """Refuse names that look alike, or that a class file cannot hold."""
    seen = {}
    for name in names:
        if len(name.encode()) > _LONGEST_NAME:
            raise DataError(f"The name of a class is too long: '{name[:40]}...'.")
        other = seen.setdefault(" ".join(name.split()).casefold(), name)
        if other != name:
            raise DataError(
                f"The classes '{other}' and '{name}' differ in case or spaces only. "
                "Make them one name in the annotations; or, if both are meant, write a "
                "class file with both."
            )


def _has_meaning(name: str) -> bool:
    return _plain(name) in (BACKGROUND, *IGNORED_NAMES)


def _plain(name: str) -> str:
    """Return a name as it is compared with those that have a meaning."""
    return name.strip("_ ").lower()


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(f"'{name}'" for name in names[:5]) + more
