"""The profile of a file's operations as text and as CSV."""

import csv
import io
import math
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from keras_frm.benchmark.operation_times import OpProfile, OpRow
from keras_frm.files import write_bytes

_HEADER = (
    *("operation", "count", "ms", "total_ms", "share"),
    *("xnnpack", "inputs", "outputs", "place", "problem"),
)
_SEEN = {True: "yes", False: "no", None: "-"}


def to_text(profile: OpProfile, limit: int | None = None, width: int = 160) -> str:
    """Return the profile as a table for a terminal.

    Args:
        profile: The profile.
        limit: Rows to show of those that were timed; None for all. Operations of
            unknown time are always shown.
        width: Characters in a line.

    Returns:
        The table, sums by kind of operation, and the time of the whole file.

    Example:
    >>> profile = OpProfile((), whole=2.0, delegates=1, threads=2, runs=9)
    >>> print(to_text(profile).splitlines()[-2][:46])
    sum of the operations 0.00 ms; whole file 2.00
    """
    table = Table(box=None, pad_edge=False)
    for title in ("operation", "count", "ms", "total", "share", "XNNPACK"):
        justify = "left" if title in ("operation", "XNNPACK") else "right"
        table.add_column(title, justify=justify, no_wrap=True)
    for title in ("shapes", "place"):
        table.add_column(title, overflow="fold")
    timed = [row for row in profile.rows if not row.problem]
    unknown = [row for row in profile.rows if row.problem]
    for row in [*timed[:limit], *unknown]:
        # A fused operation carries the names of all that it was made of.
        place = row.place.partition(";")[0]
        if row.problem:
            place += f" (time unknown: {row.problem})"
        table.add_row(
            Text(row.operation),
            str(row.count),
            _number(row.milliseconds, 3),
            _number(row.total, 2),
            _number(100 * profile.share(row), 1, "%"),
            _SEEN[row.delegated],
            _shapes(row),
            Text(place),
        )
    buffer = io.StringIO()
    Console(file=buffer, width=width).print(table)
    hidden = timed[limit:] if limit is not None else []
    if hidden:
        total = sum(row.total for row in hidden)
        buffer.write(f"... and {len(hidden)} more, {total:.2f} ms together\n")
    return f"{buffer.getvalue()}\n{_by_operation(timed, profile)}{_summary(profile)}"


def to_csv(profile: OpProfile) -> str:
    """Return the profile as CSV, one line for each row, empty where unknown.

    Args:
        profile: The profile.

    Returns:
        Milliseconds with four decimals, the share as a fraction of 1.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_HEADER)
    for row in profile.rows:
        writer.writerow(
            (
                row.operation,
                row.count,
                _number(row.milliseconds, 4, unknown=""),
                _number(row.total, 4, unknown=""),
                _number(profile.share(row), 4, unknown=""),
                _SEEN[row.delegated],
                "; ".join(map(str, row.inputs)),
                "; ".join(map(str, row.outputs)),
                row.place,
                row.problem,
            )
        )
    return buffer.getvalue()


def save(profile: OpProfile, folder: str | Path, name: str) -> Path:
    """Write the profile as `<name>_operations.csv` and `.txt`.

    Args:
        profile: The profile.
        folder: Folder for the files; made if missing.
        name: Name of the profiled file.

    Returns:
        The folder.
    """
    folder = Path(folder)
    write_bytes(folder / f"{name}_operations.csv", to_csv(profile).encode())
    write_bytes(folder / f"{name}_operations.txt", to_text(profile).encode())
    return folder


def _shapes(row: OpRow) -> Text:
    """Write inputs -> outputs; constants in brackets."""
    inputs = [f"[{shape}]" if shape.constant else str(shape) for shape in row.inputs]
    return Text(f"{', '.join(inputs)} -> {', '.join(map(str, row.outputs))}")


def _by_operation(rows, profile) -> str:
    """Return one line with the time of each kind of operation."""
    totals = {}
    for row in rows:
        totals[row.operation] = totals.get(row.operation, 0.0) + row.total
    ordered = sorted(totals.items(), key=lambda item: -item[1])
    parts = (f"{name} {100 * total / profile.sum:.1f}%" for name, total in ordered)
    return f"by kind: {', '.join(parts)}\n" if profile.sum else ""


def _summary(profile) -> str:
    """Return the sum beside the whole, and what the difference is."""
    pieces = "1 piece" if profile.delegates == 1 else f"{profile.delegates} pieces"
    unknown = sum(row.count for row in profile.rows if row.problem)
    missing = f", {unknown} of unknown time left out" if unknown else ""
    return (
        f"sum of the operations {profile.sum:.2f} ms{missing}; whole file "
        f"{profile.whole:.2f} ms ({profile.threads} threads, medians of "
        f"{profile.runs} runs; XNNPACK runs {pieces} of it)\n"
        "The difference is fusion of neighbours, shared memory and dispatch: each "
        "operation was timed alone. [Brackets] mark constants.\n"
    )


def _number(value, digits, unit="", unknown="-") -> str:
    """Format a number that may be unknown."""
    return unknown if math.isnan(value) else f"{value:.{digits}f}{unit}"
