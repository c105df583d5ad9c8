"""Latency against accuracy, as a picture with a legend of the files."""

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_LONGEST_NAME = 70
_LEAST_RANGE = 1.0  # percent from the bottom to the top
_MARKERS = "osD^vP*X<>"
_COLOURS = 10  # of matplotlib's cycle


def tradeoff_picture(
    names: Sequence[str],
    latencies: Sequence[float],
    scores: Sequence[float],
    score_name: str,
    note: str = "",
) -> np.ndarray:
    """Draw points of latency and score; a legend names them and says their numbers.

    Args:
        names: One for each point.
        latencies: Milliseconds.
        scores: Fractions of 1; points of NaN are left out.
        score_name: What the score is.
        note: Small print below.

    Returns:
        (H, W, 3) uint8 RGB; the height grows with the number of points.

    Example:
    >>> tradeoff_picture(["a", "b"], [4.0, 9.0], [0.7, 0.8], "mIoU").shape[-1]
    3
    """
    figure = draw_tradeoff(names, latencies, scores, score_name, note)
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()  # (H, W, 3)


def draw_tradeoff(
    names: Sequence[str],
    latencies: Sequence[float],
    scores: Sequence[float],
    score_name: str,
    note: str = "",
) -> Figure:
    """Return the figure of `tradeoff_picture`, drawn."""
    # Figure and canvas without pyplot: no global state, no display.
    height = 4.8 + 0.19 * len(names)  # inches
    figure = Figure(figsize=(8.5, height), dpi=120, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    points, entries = [], []
    for name, x, y in zip(names, latencies, scores, strict=True):
        if np.isfinite([x, y]).all():
            points += axes.plot(x, 100 * y, zorder=3, **_style(len(points)))
            entries.append(f"{x:.1f} ms, {100 * y:.1f} %: {_short(name)}")
    axes.margins(0.12, 0.2)
    low, high = axes.get_ylim()
    if high - low < _LEAST_RANGE:  # nothing looks like a difference that is none
        middle = (low + high) / 2
        axes.set_ylim(middle - _LEAST_RANGE / 2, middle + _LEAST_RANGE / 2)
    axes.set_xlabel("latency, ms (lower is better)")
    axes.set_ylabel(f"{score_name}, % (higher is better)")
    axes.grid(alpha=0.3)
    axes.ticklabel_format(useOffset=False)
    if points:
        legend = figure.legend(
            points, entries, loc="outside upper left", fontsize=8, frameon=False
        )
        for text in legend.get_texts():
            text.set_parse_math(False)  # names of files are no formulas
    if note:
        # A line breaks by its words; the name of a machine is no formula.
        figure.supxlabel(note, fontsize=7, color="0.35", parse_math=False, wrap=True)
    canvas.draw()
    return figure


def _style(number: int) -> dict:
    """Return marker and colour of a point; a pair comes again after a hundred."""
    marker = _MARKERS[(number + number // _COLOURS) % len(_MARKERS)]
    return {
        "marker": marker,
        "color": f"C{number % _COLOURS}",
        "markersize": 8,
        "alpha": 0.8,
        "linestyle": "none",
    }


def _short(name: str) -> str:
    """Return a name cut in its middle, where long ones tend to be alike."""
    if len(name) <= _LONGEST_NAME:
        return name
    half = (_LONGEST_NAME - 1) // 2
    return f"{name[:half]}…{name[-half:]}"
