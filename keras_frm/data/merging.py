"""Several classes of a dataset as one: the mapping, and its file `name,class`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from keras_frm.data.csv_rows import csv_rows
from keras_frm.files import DataError
from keras_frm.labels import IGNORED_NAMES, LabelSet

_HEADER = ["name", "class"]
_IGNORED = IGNORED_NAMES[0]


def merge_classes(
    labels: LabelSet, classes: Mapping[str, str | Sequence[str]]
) -> LabelSet:
    """Return a dataset's label set in which several classes are one.

    The files stay as they are: `load_dataset(..., labels=...)` and a `Preset` with
    these labels read the same masks. A class that is not named stays as it is. Train
    ids follow the first class that each new one holds, whose colour it gets, too.

    Args:
        labels: The dataset's own classes.
        classes: Name of a new class -> names of those it holds. The name "ignore" (or
            "void") takes the classes that are not trained.

    Returns:
        The new classes, and what the masks store for them.

    Raises:
        ValueError: There is no such class, it is named twice, or none is left.

    Example:
    >>> from keras_frm.labels import CAMVID
    >>> merged = merge_classes(CAMVID, {"vehicle": ["car", "bicyclist"]})
    >>> merged.classes[-2:], merged.ids[8], merged.ids[10]
    (('vehicle', 'pedestrian'), 8, 8)
    """
    became = {}
    for own, names in classes.items():
        for name in [names] if isinstance(names, str) else names:
            if name not in labels.classes:
                raise ValueError(
                    f"Label set '{labels.name}' has no class '{name}' to merge into "
                    f"'{own}'. It has: {', '.join(labels.classes)}."
                )
            if name in became:
                raise ValueError(
                    f"Class '{name}' is merged into '{became[name]}' and into '{own}'; "
                    "name it once."
                )
            became[name] = _IGNORED if own.lower() in IGNORED_NAMES else own
    return _merged(labels, {name: became.get(name, name) for name in labels.classes})


def merged_like(labels: LabelSet, other: LabelSet | None) -> LabelSet:
    """Return a dataset's classes merged as those of a preset or of a model are.

    Args:
        labels: The dataset's own classes.
        other: Classes that may be a result of `merge_classes`. If they merge nothing,
            or there are none, nothing changes.

    Raises:
        ValueError: The other ones are made of other classes.

    Example:
    >>> from keras_frm.labels import CAMVID
    >>> merged_like(CAMVID, merge_classes(CAMVID, {"ignore": "sky"})).classes[0]
    'building'
    """
    if other is None or not other.merges or labels.merges == other.merges:
        return labels
    became = dict(other.merges)
    if tuple(became) != labels.classes:
        raise ValueError(
            f"The classes are merged from {', '.join(became)}, and those of the data "
            f"are {', '.join(labels.classes)}. Merge the classes of the data."
        )
    return _merged(labels, became)


def refuse_other_classes(labels: LabelSet | None, of_data: LabelSet) -> None:
    """Raise where the classes asked for are not those that the data came to have.

    Args:
        labels: The classes asked for, None for those of the data.
        of_data: Classes of the data, merged as the ones asked for are.

    Raises:
        ValueError: They differ.

    Example:
    >>> from keras_frm.labels import CAMVID
    >>> refuse_other_classes(None, CAMVID)
    """
    if labels is not None and labels.classes != of_data.classes:
        raise ValueError(
            f"labels names {', '.join(labels.classes)}, and the data have "
            f"{', '.join(of_data.classes)}. Pass what keras_frm.merge_classes makes of "
            "these."
        )


def read_merge_file(path: str | Path) -> dict[str, list[str]]:
    r"""Read a mapping of classes, for `merge_classes`.

    Args:
        path: A CSV file in UTF-8 with the header `name,class`: a class of the dataset,
            and the one it becomes ("ignore" for one that is not trained).

    Raises:
        DataError: The file is missing, too large or wrong; the message names the line.

    Example:
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "merge.csv")
    >>> with open(path, "w") as file:
    ...     _ = file.write("name,class\ncar,vehicle\nbus,vehicle\n")
    >>> read_merge_file(path)
    {'vehicle': ['car', 'bus']}
    """
    classes: dict[str, list[str]] = {}
    for line, row in csv_rows(Path(path), _HEADER):
        fields = [field.strip() for field in row]
        if len(fields) != 2 or not all(f and f.isprintable() for f in fields):
            raise DataError(f"'{path}', line {line}: it needs two names, name,class.")
        classes.setdefault(fields[1], []).append(fields[0])
    return classes


def _merged(labels: LabelSet, became: Mapping[str, str]) -> LabelSet:
    """Return the label set in which class -> new class, "ignore" for none."""
    first = {}
    for name, colour in zip(labels.classes, labels.palette, strict=True):
        first.setdefault(became[name], colour)
    first.pop(_IGNORED, None)
    if not first:
        raise ValueError(f"Every class of label set '{labels.name}' is ignored.")
    numbers = {name: number for number, name in enumerate(first)}
    train_ids = [numbers.get(became[n], labels.ignore_label) for n in labels.classes]

    def split(stored, ignored):
        """Return what is stored for a class, and what is stored for none."""
        kept = {key: train_ids[old] for key, old in stored.items()}
        lost = {key for key, new in kept.items() if new == labels.ignore_label}
        return {k: v for k, v in kept.items() if k not in lost}, ignored | lost

    ids, ignored_ids = split(labels.ids, labels.ignored_ids)
    own = {colour: train_id for train_id, colour in enumerate(labels.palette)}
    colour_ids, ignored_colours = split(
        labels.colour_ids or own, labels.ignored_colours
    )
    before = labels.merges or [(name, name) for name in labels.classes]
    return replace(
        labels,
        classes=tuple(first),
        palette=tuple(first.values()),
        ids=ids,
        ignored_ids=ignored_ids,
        colour_ids=colour_ids,
        ignored_colours=ignored_colours,
        merges=tuple((name, became.get(now, _IGNORED)) for name, now in before),
    )
