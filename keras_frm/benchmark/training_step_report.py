"""The parts of a training step as text and CSV."""

from pathlib import Path

from keras_frm import tables
from keras_frm.benchmark.training_step import TrainingStepTimes
from keras_frm.files import write_bytes
from keras_frm.tables import Column

_COLUMNS = (
    Column("network", "network"),
    Column("precision", "precision"),
    Column("batch", "batch_size", "d"),
    Column("crop", lambda row: "x".join(map(str, row.crop))),
    Column("images/s", "images_per_second", ".2f"),
    Column("step ms", "step", ".1f"),
    Column("input", "input", ".1f"),
    Column("forward", "forward", ".1f"),
    Column("backward", "backward", ".1f"),
    Column("update", "update", ".1f"),
    Column("memory MB", lambda row: row.memory / 1e6, ".0f"),
)
_CSV_COLUMNS = (
    Column("network", "network"),
    Column("precision", "precision"),
    Column("batch_size", "batch_size"),
    Column("crop_height", lambda row: row.crop[0]),
    Column("crop_width", lambda row: row.crop[1]),
    Column("images_per_second", "images_per_second", ".4f"),
    Column("step_ms", "step", ".4f"),
    Column("input_ms", "input", ".4f"),
    Column("forward_ms", "forward", ".4f"),
    Column("backward_ms", "backward", ".4f"),
    Column("update_ms", "update", ".4f"),
    Column("peak_memory_bytes", "memory", ".0f"),
    Column("first_step_s", "first_step", ".2f"),
    Column("runs", "runs"),
    Column("threads", "threads"),
    Column("machine", "machine"),
)


def to_text(times: TrainingStepTimes) -> str:
    """Return the measurement as a table for a terminal, with what it means."""
    return (
        f"{tables.to_text([times], _COLUMNS)}\n{times.machine}; {times.threads}\n"
        f"step: on a batch that is ready, median of {times.runs}; the first one took "
        f"{times.first_step:.1f} s\n"
        "input: a batch of the pipeline while nothing else runs; in training it works "
        "beside the step\n"
        "update: optimizer, metrics and the check of the gradients\n"
        "memory: peak of this process, or of the GPU\n"
    )


def to_csv(times: TrainingStepTimes) -> str:
    """Return the measurement as CSV, empty where unknown.

    Example:
    >>> import math
    >>> parts = (20.0, math.nan, 8.0, 9.0, 3.0)
    >>> times = TrainingStepTimes(
    ...     "van", "float32", 2, (64, 96), *parts, 1e9, 5.0, 9, "", ""
    ... )
    >>> to_csv(times).splitlines()[1]
    'van,float32,2,64,96,100.0000,20.0000,,8.0000,9.0000,3.0000,1000000000,5.00,9,,'
    """
    return tables.to_csv([times], _CSV_COLUMNS)


def save(times: TrainingStepTimes, folder: str | Path) -> Path:
    """Write `train_benchmark.csv` into a folder and return its path."""
    path = Path(folder) / "train_benchmark.csv"
    write_bytes(path, to_csv(times).encode())
    return path
