"""The parts of a training step as text and CSV."""

import csv
import io
import math
from pathlib import Path

from rich.console import Console
from rich.table import Table

from keras_frm.benchmark.train_benchmark import TrainBenchmark
from keras_frm.files import write_bytes

_HEADER = (
    *("network", "precision", "batch", "crop", "images/s", "step ms"),
    *("input", "forward", "backward", "update", "memory MB"),
)


def to_text(row: TrainBenchmark) -> str:
    """Return the measurement as a table for a terminal, with what it means."""
    table = Table(box=None, pad_edge=False)
    for position, title in enumerate(_HEADER):
        table.add_column(title, justify="right" if position > 1 else "left")
    table.add_row(
        *(row.network, row.precision, str(row.batch_size)),
        "x".join(map(str, row.crop)),
        _number(row.images_per_second, 2),
        *(_number(x, 1) for x in (row.step, row.input)),
        *(_number(x, 1) for x in (row.forward, row.backward, row.update)),
        _number(row.memory / 1e6, 0),
    )
    buffer = io.StringIO()
    Console(file=buffer, width=140).print(table)
    return (
        f"{buffer.getvalue()}\n{row.machine}; {row.threads}\n"
        f"step: on a batch that is ready, median of {row.runs}; the first one took "
        f"{row.first_step:.1f} s\n"
        "input: a batch of the pipeline while nothing else runs; in training it works "
        "beside the step\n"
        "update: optimizer, metrics and the check of the gradients\n"
        "memory: peak of this process, or of the GPU\n"
    )


def to_csv(row: TrainBenchmark) -> str:
    """Return the measurement as CSV, empty where unknown.

    Example:
    >>> import math
    >>> times = (20.0, math.nan, 8.0, 9.0, 3.0)
    >>> row = TrainBenchmark("van", "float32", 2, (64, 96), *times, 1e9, 5.0, 9, "", "")
    >>> to_csv(row).splitlines()[1]
    'van,float32,2,64,96,100.0000,20.0000,,8.0000,9.0000,3.0000,1000000000,5.00,9,,'
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(
        (
            *("network", "precision", "batch_size", "crop_height", "crop_width"),
            *("images_per_second", "step_ms", "input_ms", "forward_ms"),
            *("backward_ms", "update_ms", "peak_memory_bytes", "first_step_s"),
            *("runs", "threads", "machine"),
        )
    )
    times = (row.step, row.input, row.forward, row.backward, row.update)
    writer.writerow(
        (
            *(row.network, row.precision, row.batch_size, *row.crop),
            _number(row.images_per_second, 4, ""),
            *(_number(x, 4, "") for x in times),
            _number(row.memory, 0, ""),
            _number(row.first_step, 2, ""),
            *(row.runs, row.threads, row.machine),
        )
    )
    return buffer.getvalue()


def save(row: TrainBenchmark, folder: str | Path) -> Path:
    """Write `train_benchmark.csv` into a folder and return its path."""
    path = Path(folder) / "train_benchmark.csv"
    write_bytes(path, to_csv(row).encode())
    return path


def _number(value, digits, unknown="-"):
    """Format a number that may be unknown."""
    return unknown if math.isnan(value) else f"{value:.{digits}f}"
