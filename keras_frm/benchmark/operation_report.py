"""The times of a file's operations as text and as CSV."""

from pathlib import Path

from keras_frm import tables
from keras_frm.benchmark.operation_times import OperationRow, OperationTimes
from keras_frm.files import write_bytes
from keras_frm.tables import Column

_SEEN = {True: "yes", False: "no", None: "-"}


def to_text(times: OperationTimes, limit: int | None = None, width: int = 160) -> str:
    """Return the times as a table for a terminal.

    Args:
        times: The times.
        limit: Rows to show of those that were timed; None for all. Operations of
            unknown time are always shown.
        width: Characters in a line.

    Returns:
        The table, sums by kind of operation, and the time of the whole file.

    Example:
    >>> times = OperationTimes((), whole=2.0, threads=2, runs=9, note="-")
    >>> print(to_text(times).splitlines()[-2][:46])
    sum of the operations 0.00 ms; whole file 2.00
    """
    columns = (
        Column("operation", "operation"),
        Column("count", "count", "d"),
        Column("ms", "milliseconds", ".3f"),
        Column("total", "total", ".2f"),
        Column("share", times.share, ".1%"),
        Column("XNNPACK", lambda row: _SEEN[row.delegated]),
        Column("shapes", _shapes, folds=True),
        Column("place", _place, folds=True),
    )
    timed = [row for row in times.rows if not row.problem]
    unknown = [row for row in times.rows if row.problem]
    text = tables.to_text([*timed[:limit], *unknown], columns, width)
    hidden = timed[limit:] if limit is not None else []
    if hidden:
        total = sum(row.total for row in hidden)
        text += f"... and {len(hidden)} more, {total:.2f} ms together\n"
    return f"{text}\n{_by_operation(timed, times)}{_summary(times)}"


def to_csv(times: OperationTimes) -> str:
    """Return the times as CSV, one line for each row, empty where unknown.

    Args:
        times: The times.

    Returns:
        Milliseconds with four decimals, the share as a fraction of 1.
    """
    columns = (
        Column("operation", "operation"),
        Column("count", "count"),
        Column("ms", "milliseconds", ".4f"),
        Column("total_ms", "total", ".4f"),
        Column("share", times.share, ".4f"),
        Column("xnnpack", lambda row: _SEEN[row.delegated]),
        Column("inputs", lambda row: "; ".join(map(str, row.inputs))),
        Column("outputs", lambda row: "; ".join(map(str, row.outputs))),
        Column("place", "place"),
        Column("problem", "problem"),
    )
    return tables.to_csv(times.rows, columns)


def save(times: OperationTimes, folder: str | Path, name: str) -> Path:
    """Write the times as `<name>_operations.csv` and `.txt`.

    Args:
        times: The times.
        folder: Folder for the files; made if missing.
        name: Name of the file that was timed.

    Returns:
        The folder.
    """
    folder = Path(folder)
    write_bytes(folder / f"{name}_operations.csv", to_csv(times).encode())
    write_bytes(folder / f"{name}_operations.txt", to_text(times).encode())
    return folder


def _shapes(row: OperationRow) -> str:
    """Write inputs -> outputs; constants in brackets."""
    inputs = [f"[{shape}]" if shape.constant else str(shape) for shape in row.inputs]
    return f"{', '.join(inputs)} -> {', '.join(map(str, row.outputs))}"


def _place(row: OperationRow) -> str:
    # A fused operation carries the names of all that it was made of.
    place = row.place.partition(";")[0]
    return f"{place} (time unknown: {row.problem})" if row.problem else place


def _by_operation(rows, times) -> str:
    """Return one line with the time of each kind of operation."""
    totals = {}
    for row in rows:
        totals[row.operation] = totals.get(row.operation, 0.0) + row.total
    ordered = sorted(totals.items(), key=lambda item: -item[1])
    parts = (f"{name} {100 * total / times.sum:.1f}%" for name, total in ordered)
    return f"by kind: {', '.join(parts)}\n" if times.sum else ""


def _summary(times) -> str:
    """Return the sum beside the whole, and what the difference is."""
    unknown = sum(row.count for row in times.rows if row.problem)
    missing = f", {unknown} of unknown time left out" if unknown else ""
    return (
        f"sum of the operations {times.sum:.2f} ms{missing}; whole file "
        f"{times.whole:.2f} ms ({times.threads} threads, medians of "
        f"{times.runs} runs)\n{times.note} [Brackets] mark constants.\n"
    )
