"""A confusion matrix as a picture."""

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# More classes than this leave no room for numbers in the cells.
_MAX_NUMBERED = 30


def confusion_picture(confusion: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Draw a confusion matrix, each row in percent of the class's labelled pixels.

    Args:
        confusion: (C, C) counts, label in the row, prediction in the column.
        classes: C names.

    Returns:
        (H, W, 3) uint8 RGB; height and width grow with C. Rows of classes without
        labelled pixels are empty.

    Raises:
        ValueError: If names and matrix do not fit.

    Example:
    >>> picture = confusion_picture(np.array([[6, 2], [0, 2]]), ["road", "car"])
    >>> picture.ndim, picture.dtype.name
    (3, 'uint8')
    """
    count = len(classes)
    if confusion.shape != (count, count):
        raise ValueError(
            f"A confusion matrix of shape {confusion.shape} does not fit {count} names."
        )
    labelled = confusion.sum(axis=1, keepdims=True)
    percent = np.divide(
        100.0 * confusion,
        labelled,
        out=np.full(confusion.shape, np.nan),
        where=labelled > 0,
    )
    side = 3.0 + 0.36 * min(count, 60)  # inches
    # Figure and canvas without pyplot: no global state, no display.
    figure = Figure(figsize=(side + 0.8, side), dpi=110, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    cells = axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    bar = figure.colorbar(cells, ax=axes, shrink=0.6)
    bar.set_label("% of the labelled pixels")
    # Names are text, never formulas, and must leave room for the matrix.
    names = {
        "labels": [name[:24] for name in classes],
        "fontsize": 8,
        "parse_math": False,
    }
    axes.set_xticks(range(count), rotation=90, **names)
    axes.set_yticks(range(count), **names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("labelled")
    if count <= _MAX_NUMBERED:
        _write_numbers(axes, percent)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()  # (H, W, 3)


def _write_numbers(axes, percent: np.ndarray) -> None:
    for row, column in np.argwhere(np.nan_to_num(percent) > 0):
        value = percent[row, column]
        text = f"{value:.0f}" if value >= 0.5 else "·"
        colour = "white" if value > 55 else "black"
        axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
