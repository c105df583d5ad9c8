"""What an evaluation found: its scores, as tables and as files."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_frm import tables
from keras_frm.evaluation.confusion_plot import confusion_picture
from keras_frm.files import write_bytes, write_png
from keras_frm.labels import LabelSet
from keras_frm.metrics import iou_from_confusion
from keras_frm.tables import Column

_COLUMNS = (
    Column("class", "name"),
    Column("iou", "iou", ".2%"),
    Column("accuracy", "accuracy", ".2%"),
    Column("pixels", "pixels", ".2%"),
)
_CSV_COLUMNS = tuple(
    column._replace(format=column.format and ".6f") for column in _COLUMNS
)


class ClassRow(NamedTuple):
    """One class of an evaluation; fractions of 1, NaN where not evaluated."""

    name: str
    iou: float
    accuracy: float
    pixels: float  # share of the labelled pixels


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What an evaluation counted, and the scores that follow from it.

    Args:
        confusion: (C, C) int64 pixels, label in the row, prediction in the column.
        labels: The classes.
        images: Number of images.

    Example:
    >>> labels = LabelSet("two", ("road", "car"), ((0, 0, 0), (9, 9, 9)))
    >>> evaluation = Evaluation(np.array([[6, 2], [0, 2]]), labels, images=1)
    >>> evaluation.iou.tolist(), evaluation.mean_iou, evaluation.pixel_accuracy
    ([0.75, 0.5], 0.625, 0.8)
    """

    confusion: np.ndarray
    labels: LabelSet
    images: int

    @property
    def iou(self) -> np.ndarray:
        """Each class's IoU: (C,) float64, NaN for classes nowhere to be seen."""
        return iou_from_confusion(self.confusion)

    @property
    def accuracy(self) -> np.ndarray:
        """Each class's share of pixels found: (C,) float64, NaN if not labelled."""
        labelled = self.confusion.sum(axis=1)
        accuracy = np.full(len(labelled), np.nan)
        hits = np.diagonal(self.confusion)
        return np.divide(hits, labelled, out=accuracy, where=labelled > 0)

    @property
    def mean_iou(self) -> float:
        """Mean IoU of the evaluated classes, NaN if there are none."""
        return _mean_of_known(self.iou)

    @property
    def mean_accuracy(self) -> float:
        """Mean accuracy of the labelled classes, NaN if there are none."""
        return _mean_of_known(self.accuracy)

    @property
    def pixel_accuracy(self) -> float:
        """Share of the labelled pixels that are predicted right, NaN if none."""
        pixels = self.confusion.sum()
        return float(np.trace(self.confusion) / pixels) if pixels else float("nan")

    @property
    def note(self) -> str:
        """What a reader of the scores must know, empty if nothing."""
        if self.confusion.any():
            return ""
        return (
            f"No pixel was counted: all pixels of the {self.images} images carry the "
            f"ignore label {self.labels.ignore_label}."
        )

    def rows(self) -> list[ClassRow]:
        """Return the scores class by class, in the order of the train ids."""
        labelled = self.confusion.sum(axis=1)
        shares = labelled / max(1, labelled.sum())
        columns = (self.iou.tolist(), self.accuracy.tolist(), shares.tolist())
        return [
            ClassRow(*row) for row in zip(self.labels.classes, *columns, strict=True)
        ]


def to_text(evaluation: Evaluation) -> str:
    """Return the scores as a table for a terminal, in percent.

    Args:
        evaluation: The evaluation.

    Returns:
        Lines of one row per class, then the mean and the score of all pixels; a
        class that was not evaluated has "-". Ends with the evaluation's note.

    Example:
    >>> labels = LabelSet("two", ("road", "car"), ((0, 0, 0), (9, 9, 9)))
    >>> text = to_text(Evaluation(np.array([[6, 2], [0, 2]]), labels, images=1))
    >>> [line.split() for line in text.splitlines() if "mean" in line]
    [['mean', '62.50%', '87.50%', '-']]
    """
    return tables.to_text(_all_rows(evaluation), _COLUMNS) + _note_line(evaluation)


def to_markdown(evaluation: Evaluation) -> str:
    """Return the scores as a Markdown table, in percent.

    Args:
        evaluation: The evaluation.

    Returns:
        The rows of `to_text` as Markdown.
    """
    table, note = tables.to_markdown(_all_rows(evaluation), _COLUMNS), evaluation.note
    return f"{table}\n{note}\n" if note else table


def to_csv(evaluation: Evaluation) -> str:
    """Return the scores as CSV, in fractions of 1, empty where not evaluated.

    Args:
        evaluation: The evaluation.

    Returns:
        The rows of `to_text` as CSV, six decimals.
    """
    return tables.to_csv(_all_rows(evaluation), _CSV_COLUMNS)


def save(evaluation: Evaluation, folder: str | Path) -> Path:
    """Write `iou.csv`, `iou.md` and `confusion.png`, each complete or not at all.

    Args:
        evaluation: The evaluation.
        folder: Folder for the files; made if missing.

    Returns:
        The folder.
    """
    folder = Path(folder)
    picture = confusion_picture(evaluation.confusion, evaluation.labels.classes)
    write_bytes(folder / "iou.csv", to_csv(evaluation).encode())
    write_bytes(folder / "iou.md", to_markdown(evaluation).encode())
    write_png(folder / "confusion.png", picture)
    return folder


def _all_rows(evaluation: Evaluation) -> list[ClassRow]:
    """Return the class rows, the mean and the row of all pixels together."""
    nan = math.nan
    labelled = 1.0 if evaluation.confusion.any() else 0.0
    return [
        *evaluation.rows(),
        ClassRow("mean", evaluation.mean_iou, evaluation.mean_accuracy, nan),
        ClassRow("all pixels", nan, evaluation.pixel_accuracy, labelled),
    ]


def _note_line(evaluation: Evaluation) -> str:
    """Return the evaluation's note as a line, empty if there is none."""
    return f"{evaluation.note}\n" if evaluation.note else ""


def _mean_of_known(values: np.ndarray) -> float:
    """Return the mean without NaN, NaN if all are."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
