"""A comparison of model files as text, CSV, Markdown and a picture."""

import math
from pathlib import Path

from keras_frm import tables
from keras_frm.benchmark.comparison import Comparison
from keras_frm.benchmark.comparison_plot import tradeoff_picture
from keras_frm.files import write_bytes, write_png
from keras_frm.tables import Column

_COLUMNS = (
    Column("file", "name"),
    Column("runtime", lambda row: row.runtime.partition(",")[0]),
    Column("input", lambda row: "x".join(map(str, row.input_size))),
    Column("ms", "latency", ".2f"),
    Column("p90", "slow_latency", ".2f"),
    Column("images/s", "throughput", ".1f"),
    Column("ratio", "ratio", ".3f"),
    Column("to mask ms", "mask_latency", ".2f"),
    Column("memory MB", lambda row: row.memory / 1e6, ".0f"),
    Column("file MB", lambda row: row.file_size / 1e6, ".2f"),
    Column("agreement", "agreement", ".2%"),
    Column("mIoU", "mean_iou", ".2%"),
)


def to_text(comparison: Comparison) -> str:
    """Return the comparison as a table for a terminal, with what it means.

    Args:
        comparison: The comparison.

    Example:
    >>> from keras_frm.benchmark.comparison import ComparisonRow
    >>> numbers = (2.0, 3.0, 480.0, 1.0, 2.5, 90e6, 10**6, 1.0, 0.5)
    >>> row = ComparisonRow("a.tflite", "LiteRT", (64, 128), *numbers)
    >>> text = to_text(Comparison((row,), "a machine", 2, 30, 8, "synthetic scenes"))
    >>> text.splitlines()[1].split()[:5]
    ['a.tflite', 'LiteRT', '64x128', '2.00', '3.00']
    """
    return f"{tables.to_text(comparison.rows, _COLUMNS)}\n{_notes(comparison)}"


def to_markdown(comparison: Comparison) -> str:
    """Return the rows and notes of `to_text` as Markdown.

    Args:
        comparison: The comparison.
    """
    notes = "".join(f"- {line}\n" for line in _notes(comparison).splitlines())
    return f"{tables.to_markdown(comparison.rows, _COLUMNS)}\n{notes}"


def to_csv(comparison: Comparison) -> str:
    """Return the comparison as CSV, empty where unknown; each line tells it all.

    Args:
        comparison: The comparison.
    """
    columns = (
        Column("file", "name"),
        Column("runtime", "runtime"),
        Column("input_height", lambda row: row.input_size[0]),
        Column("input_width", lambda row: row.input_size[1]),
        Column("latency_ms", "latency", ".4f"),
        Column("p90_ms", "slow_latency", ".4f"),
        Column("images_per_second", "throughput", ".4f"),
        Column("ratio", "ratio", ".4f"),
        Column("to_mask_ms", "mask_latency", ".4f"),
        Column("peak_memory_bytes", "memory", ".0f"),
        Column("file_bytes", "file_size"),
        Column("agreement", "agreement", ".6f"),
        Column("mean_iou", "mean_iou", ".6f"),
        Column("threads", lambda _: comparison.threads),
        Column("runs", lambda _: comparison.runs),
        Column("images", lambda _: comparison.images),
        Column("source", lambda _: comparison.source),
        Column("machine", lambda _: comparison.machine),
    )
    return tables.to_csv(comparison.rows, columns)


def save(comparison: Comparison, folder: str | Path) -> Path:
    """Write `benchmark.csv`, `.md` and `.png`, each complete or not at all.

    The picture has mean IoU against latency, or the agreement where there are no
    labels.

    Args:
        comparison: The comparison.
        folder: Folder for the files; made if missing.

    Returns:
        The folder.
    """
    folder = Path(folder)
    rows = comparison.rows
    labelled = not all(math.isnan(row.mean_iou) for row in rows)
    picture = tradeoff_picture(
        [row.name for row in rows],
        [row.latency for row in rows],
        [row.mean_iou if labelled else row.agreement for row in rows],
        "mIoU" if labelled else "pixels that agree with the first file",
        f"{comparison.images} images: {comparison.source}; "
        f"{comparison.threads} threads\n{comparison.machine}",
    )
    write_bytes(folder / "benchmark.csv", to_csv(comparison).encode())
    write_bytes(folder / "benchmark.md", to_markdown(comparison).encode())
    write_png(folder / "benchmark.png", picture)
    return folder


def _notes(comparison: Comparison) -> str:
    """Return how the numbers came about, a line each."""
    runtimes = ", ".join(dict.fromkeys(row.runtime for row in comparison.rows))
    return (
        f"{comparison.machine}; {comparison.threads} threads; {runtimes}\n"
        f"ms, p90, images/s: one run on a prepared input, {comparison.runs} rounds "
        "with all files in turn; ratio: to the first file, median over the rounds\n"
        "to mask ms: from an image to its mask, resizing and arg-max included\n"
        "memory: peak of a process that runs this file only, with Python and all "
        "libraries\n"
        f"agreement: pixels with the first file's class; {comparison.images} images: "
        f"{comparison.source}\n"
    )
