"""A comparison of model files as text, CSV, Markdown and a picture."""

import csv
import io
import math
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from keras_frm.benchmark.compare import Benchmark, BenchmarkRow
from keras_frm.benchmark.tradeoff_plot import tradeoff_picture
from keras_frm.files import write_bytes, write_png

_HEADER = (
    *("file", "input", "ms", "p90", "images/s", "ratio", "to mask ms"),
    *("memory MB", "file MB", "agreement", "mIoU"),
)
_CSV_HEADER = (
    *("file", "runtime", "input_height", "input_width", "latency_ms", "p90_ms"),
    *("images_per_second", "ratio", "to_mask_ms", "peak_memory_bytes", "file_bytes"),
    *("agreement", "mean_iou", "threads", "runs", "images", "source", "machine"),
)


def to_text(benchmark: Benchmark) -> str:
    """Return the comparison as a table for a terminal, with what it means.

    Args:
        benchmark: The comparison.

    Example:
    >>> numbers = (2.0, 3.0, 480.0, 1.0, 2.5, 90e6, 10**6, 1.0, 0.5)
    >>> row = BenchmarkRow("a.tflite", "LiteRT", (64, 128), *numbers)
    >>> text = to_text(Benchmark((row,), "a machine", 2, 30, 8, "synthetic scenes"))
    >>> text.splitlines()[1].split()[:5]
    ['a.tflite', '64x128', '2.00', '3.00', '480.0']
    """
    table = Table(box=None, pad_edge=False)
    for position, title in enumerate(_HEADER):
        table.add_column(title, justify="right" if position else "left", no_wrap=True)
    for row in benchmark.rows:
        name, *cells = _cells(row)
        table.add_row(Text(name), *cells)
    buffer = io.StringIO()
    longest = max((Text(row.name).cell_len for row in benchmark.rows), default=0)
    Console(file=buffer, width=110 + longest).print(table)
    return f"{buffer.getvalue()}\n{_notes(benchmark)}"


def to_markdown(benchmark: Benchmark) -> str:
    """Return the rows and notes of `to_text` as Markdown.

    Args:
        benchmark: The comparison.
    """
    lines = [
        f"| {' | '.join(_HEADER)} |",
        f"| --- |{' ---: |' * (len(_HEADER) - 1)}",
    ]
    for row in benchmark.rows:
        name, *cells = _cells(row)
        # A name must stay in its cell.
        name = " ".join(name.replace("\\", "\\\\").replace("|", "\\|").split())
        lines.append(f"| {' | '.join([name, *cells])} |")
    notes = "".join(f"- {line}\n" for line in _notes(benchmark).splitlines())
    return "\n".join(lines) + f"\n\n{notes}"


def to_csv(benchmark: Benchmark) -> str:
    """Return the comparison as CSV, empty where unknown; each line tells it all.

    Args:
        benchmark: The comparison.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_CSV_HEADER)
    for row in benchmark.rows:
        writer.writerow(
            (
                *(row.name, row.runtime, *row.input_size),
                *(_number(x, 4, "") for x in (row.latency, row.slow_latency)),
                *(_number(x, 4, "") for x in (row.throughput, row.ratio)),
                _number(row.mask_latency, 4, ""),
                _number(row.memory, 0, ""),
                row.file_size,
                *(_number(x, 6, "") for x in (row.agreement, row.mean_iou)),
                *(benchmark.threads, benchmark.runs, benchmark.images),
                *(benchmark.source, benchmark.machine),
            )
        )
    return buffer.getvalue()


def save(benchmark: Benchmark, folder: str | Path) -> Path:
    """Write `benchmark.csv`, `.md` and `.png`, each complete or not at all.

    The picture has mean IoU against latency, or the agreement where there are no
    labels.

    Args:
        benchmark: The comparison.
        folder: Folder for the files; made if missing.

    Returns:
        The folder.
    """
    folder = Path(folder)
    rows = benchmark.rows
    labelled = not all(math.isnan(row.mean_iou) for row in rows)
    picture = tradeoff_picture(
        [row.name for row in rows],
        [row.latency for row in rows],
        [row.mean_iou if labelled else row.agreement for row in rows],
        "mIoU" if labelled else f"pixels that agree with {rows[0].name[:36]}",
        f"{benchmark.images} images: {benchmark.source}; {benchmark.threads} threads\n"
        f"{benchmark.machine}",
    )
    write_bytes(folder / "benchmark.csv", to_csv(benchmark).encode())
    write_bytes(folder / "benchmark.md", to_markdown(benchmark).encode())
    write_png(folder / "benchmark.png", picture)
    return folder


def _cells(row: BenchmarkRow) -> list[str]:
    """Return the cells of a row as people read them."""
    height, width = row.input_size
    return [
        row.name,
        f"{height}x{width}",
        _number(row.latency, 2),
        _number(row.slow_latency, 2),
        _number(row.throughput, 1),
        _number(row.ratio, 3),
        _number(row.mask_latency, 2),
        _number(row.memory / 1e6, 0),
        _number(row.file_size / 1e6, 2),
        _percent(row.agreement),
        _percent(row.mean_iou),
    ]


def _notes(benchmark: Benchmark) -> str:
    """Return how the numbers came about, a line each."""
    runtimes = ", ".join(dict.fromkeys(row.runtime for row in benchmark.rows))
    return (
        f"{benchmark.machine}; {benchmark.threads} threads; {runtimes}\n"
        f"ms, p90, images/s: one run on a prepared input, {benchmark.runs} rounds with "
        "all files in turn; ratio: to the first file, median over the rounds\n"
        "to mask ms: from an image to its mask, resizing and arg-max included\n"
        "memory: peak of a process that runs this file only, with Python and all "
        "libraries\n"
        f"agreement: pixels with the first file's class; {benchmark.images} images: "
        f"{benchmark.source}\n"
    )


def _percent(value: float) -> str:
    """Format a fraction of 1 that may be unknown."""
    return _number(100 * value, 2, unit="%")


def _number(value: float, digits: int, unknown: str = "-", unit: str = "") -> str:
    """Format a number that may be unknown."""
    return unknown if math.isnan(value) else f"{value:.{digits}f}{unit}"
