"""Latency against accuracy, as a picture with a name at each point."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

_LONGEST_NAME = 36
_MARKER = 10  # pixels around a point that no name may cover
_LEAST_RANGE = 1.0  # percent from the bottom to the top
_GAP = 4  # pixels between names


def tradeoff_picture(
    names: Sequence[str],
    latencies: Sequence[float],
    scores: Sequence[float],
    score_name: str,
    note: str = "",
) -> np.ndarray:
    """Draw points of latency and score, each with its name beside it.

    Args:
        names: One for each point.
        latencies: Milliseconds.
        scores: Fractions of 1; points of NaN are left out.
        score_name: What the score is.
        note: Small print below.

    Returns:
        (H, W, 3) uint8 RGB.

    Example:
    >>> tradeoff_picture(["a", "b"], [4.0, 9.0], [0.7, 0.8], "mIoU").shape[-1]
    3
    """
    figure = draw_tradeoff(names, latencies, scores, score_name, note)
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()  # (H, W, 3)


def draw_tradeoff(names, latencies, scores, score_name, note="") -> Figure:
    """Return the figure of `tradeoff_picture`, drawn.

    Args:
        names: See `tradeoff_picture`.
        latencies: See `tradeoff_picture`.
        scores: See `tradeoff_picture`.
        score_name: See `tradeoff_picture`.
        note: See `tradeoff_picture`.
    """
    points = np.array(
        [(x, 100 * y) for x, y in zip(latencies, scores, strict=True)]
    ).reshape(-1, 2)  # (points, 2)
    known = np.isfinite(points).all(axis=1)
    shown = [_short(n) for n, wanted in zip(names, known, strict=True) if wanted]
    # Figure and canvas without pyplot: no global state, no display.
    figure = Figure(figsize=(8.5, 5.5), dpi=120, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.scatter(*points[known].T, s=36, color="tab:blue", zorder=3)
    axes.margins(0.12, 0.2)
    low, high = axes.get_ylim()
    if high - low < _LEAST_RANGE:  # nothing looks like a difference that is none
        middle = (low + high) / 2
        axes.set_ylim(middle - _LEAST_RANGE / 2, middle + _LEAST_RANGE / 2)
    axes.set_xlabel("latency, ms (lower is better)")
    axes.set_ylabel(f"{score_name}, % (higher is better)")
    axes.grid(alpha=0.3)
    axes.ticklabel_format(useOffset=False)
    if note:
        # A line breaks by its words; the name of a machine is no formula.
        figure.supxlabel(note, fontsize=7, color="0.35", parse_math=False, wrap=True)
    canvas.draw()
    figure.set_layout_engine("none")  # what is placed now must stay there
    _place_names(axes, points[known], shown)
    canvas.draw()
    return figure


def _place_names(axes, points, names) -> None:
    """Write each name beside its point, where it covers no point and no name."""
    pixels = axes.transData.transform(points) if len(points) else points
    taken = [Bbox.from_extents(*(p - _MARKER / 2), *(p + _MARKER / 2)) for p in pixels]
    frame = axes.get_window_extent()
    for point, name in zip(pixels, names, strict=True):
        text = axes.annotate(
            name,
            axes.transData.inverted().transform(point),
            textcoords="offset pixels",
            xytext=(0, 0),
            va="center",
            fontsize=8,
            parse_math=False,
        )
        size = text.get_window_extent()
        offset = min(
            _offsets(size.width, size.height),
            # min() takes the first, nearest one of equal cost.
            key=lambda offset: _cost(_box(point + offset, size), taken, frame),
        )
        taken.append(_box(point + offset, size))
        text.set_position(tuple(offset))
        if abs(offset[1]) > 1:
            side = point + offset + (0 if offset[0] > 0 else size.width, 0)
            ends = axes.transData.inverted().transform([point, side])
            axes.plot(*ends.T, color="0.6", linewidth=0.7, scalex=False, scaley=False)


def _offsets(width, height) -> Iterator[np.ndarray]:
    """Yield places for a name, right and left of its point, nearest first."""
    step = height + _GAP
    for line in range(12):
        for rise in {line * step, -line * step}:
            away = _MARKER + 8 * min(line, 2)
            yield np.array([away, rise])
            yield np.array([-away - width, rise])


def _box(left, size) -> Bbox:
    """Return the box of a text whose left side's middle is at a place."""
    low = left - (0, size.height / 2)
    return Bbox.from_bounds(*low, size.width, size.height)


def _cost(box, taken, frame) -> float:
    """Return the pixels that a name would share with others, or lose at the rim."""
    shared = [Bbox.intersection(box, other) for other in taken]
    inside = Bbox.intersection(box, frame)
    lost = _area(box) - (_area(inside) if inside else 0)
    return lost + sum(_area(part) for part in shared if part)


def _area(box) -> float:
    """Return the pixels of a box."""
    return box.width * box.height


def _short(name: str) -> str:
    """Return a name cut in its middle, where long ones tend to be alike."""
    if len(name) <= _LONGEST_NAME:
        return name
    half = (_LONGEST_NAME - 1) // 2
    return f"{name[:half]}…{name[-half:]}"
