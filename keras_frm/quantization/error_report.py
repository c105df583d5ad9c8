"""The errors of a quantised graph's tensors as text, as CSV and as a picture."""

import math
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from keras_frm import tables
from keras_frm.files import write_bytes, write_png
from keras_frm.quantization.tensor_errors import TensorError
from keras_frm.tables import Column

_NOTE = (
    "SNR: signal to noise against the float graph. Own: of this rounding alone; where\n"
    "it is far above the SNR, the error comes from before. Steps: standard deviation\n"
    "of the signal in steps of its range.\n"
)
_LONGEST_NAME = 60


def _sizes(error: TensorError) -> str:
    """Write a shape as 1x8x8x4."""
    return "x".join(map(str, error.shape))


_COLUMNS = (
    Column("tensor", "name", folds=True),
    Column("operation", "kind"),
    Column("shape", _sizes),
    Column("SNR, dB", "snr_db", ".1f"),
    Column("own, dB", "own_snr_db", ".1f"),
    Column("range", lambda error: f"{error.minimum:.4g} .. {error.maximum:.4g}"),
    Column("steps", "steps", ".1f"),
    Column("clipped", "clipped", ".2%"),
)
# Names of fields that are no numbers -> what is written.
_WORDS = {"name": "name", "kind": "kind", "shape": _sizes}
_CSV_COLUMNS = tuple(
    Column(field.name, _WORDS[field.name])
    if field.name in _WORDS
    else Column(field.name, field.name, ".6g")
    for field in fields(TensorError)
)


def to_text(
    errors: Sequence[TensorError], limit: int | None = 20, width: int = 160
) -> str:
    """Return the worst tensors as a table for a terminal.

    Args:
        errors: Worst first, see `tensor_errors`.
        limit: Tensors to show, None for all.
        width: Characters in a line.

    Returns:
        The table, how many more there are, and what the columns mean.

    Example:
    >>> error = TensorError("stem", "Conv2D", (1, 8), 9.5, 40.0, -1.0, 1.0, 30.0, 0.01)
    >>> " ".join(to_text([error]).splitlines()[1].split())
    'stem Conv2D 1x8 9.5 40.0 -1 .. 1 30.0 1.00%'
    """
    text = tables.to_text(errors[:limit], _COLUMNS, width)
    hidden = errors[limit:] if limit is not None else []
    if hidden:
        least = hidden[0].snr_db
        text += f"... and {len(hidden)} more, of {least:.1f} dB and above\n"
    return f"{text}\n{_NOTE}"


def to_csv(errors: Sequence[TensorError]) -> str:
    """Return all tensors as CSV, one line each.

    Args:
        errors: See `tensor_errors`.

    Returns:
        A column for each field of `TensorError`; numbers with six digits, "inf" for
        no error, the clipped share as a fraction of 1.
    """
    return tables.to_csv(errors, _CSV_COLUMNS)


def plot(errors: Sequence[TensorError], limit: int = 30) -> np.ndarray:
    """Draw the signal to noise of the worst tensors.

    Args:
        errors: Worst first, see `tensor_errors`.
        limit: Tensors to draw.

    Returns:
        (H, W, 3) uint8 RGB; the height grows with the number of tensors. A bar without
        error reaches the right side.

    Example:
    >>> error = TensorError("stem", "Conv2D", (1, 8), 9.5, 40.0, -1.0, 1.0, 30.0, 0.01)
    >>> plot([error]).shape[-1]
    3
    """
    # Only a picture needs matplotlib, which takes its time to load.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = errors[:limit]
    snr = np.array([error.snr_db for error in shown])  # (tensors,)
    own = np.array([error.own_snr_db for error in shown])  # (tensors,)
    rows = np.arange(len(shown))
    low, high = _limits([*snr, *own])
    # Figure and canvas without pyplot: no global state, no display.
    figure = Figure(
        figsize=(10, 1.4 + 0.22 * len(shown)), dpi=110, layout="constrained"
    )
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    bars = axes.barh(rows, np.clip(snr, low, high), color="tab:blue", label="SNR")
    (marks,) = axes.plot(
        *(np.clip(own, low, high), rows, "D"),
        color="tab:orange",
        markeredgecolor="white",
        clip_on=False,
        label="own: of this rounding alone",
    )
    axes.set(xlim=(low, high), ylim=(len(shown) - 0.4, -0.6))
    axes.set_xlabel("signal to noise, dB (higher is better)")
    axes.set_yticks(rows, [_label(e.name) for e in shown], fontsize=8, parse_math=False)
    numbers = axes.secondary_yaxis("right")
    pairs = [f"{a:.1f} | {b:.1f}" for a, b in zip(snr, own, strict=True)]
    numbers.set_yticks(rows, pairs, fontsize=8)
    numbers.set_ylabel("SNR | own, dB")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    figure.legend(
        handles=[bars, marks], loc="outside upper right", ncols=2, frameon=False
    )
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()  # (H, W, 3)


def save(errors: Sequence[TensorError], folder: str | Path, name: str) -> Path:
    """Write all tensors as `<name>_tensors.csv` and `.txt`, the worst as `.png`.

    Args:
        errors: Worst first, see `tensor_errors`.
        folder: Folder for the files; made if missing.
        name: Name of the quantised model.

    Returns:
        The folder.
    """
    folder = Path(folder)
    write_bytes(folder / f"{name}_tensors.csv", to_csv(errors).encode())
    write_bytes(folder / f"{name}_tensors.txt", to_text(errors, limit=None).encode())
    write_png(folder / f"{name}_tensors.png", plot(errors))
    return folder


def _label(name) -> str:
    """Return a name; of a long one the end, where it differs from others."""
    return name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"


def _limits(values) -> tuple[float, float]:
    """Return the ends of an axis that holds 0 and all finite values."""
    finite = [value for value in values if math.isfinite(value)]
    low, high = min([*finite, 0.0]), max([*finite, 0.0])
    rim = 0.05 * (high - low) or 1.0
    return low - rim if low < 0 else 0.0, high + rim
