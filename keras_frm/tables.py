"""One way to write a table of measurements: for a terminal, as Markdown, as CSV."""

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

_WIDEST_LINE = 10_000  # characters; as wide as the cells where no width is given


class Column(NamedTuple):
    """A column of a table, and where its cells come from.

    Args:
        title: What stands above it.
        value: Name of an attribute of each row, or a function of the row.
        format: How numbers are written, such as ".2f" or ".1%"; they stand at the
            right. "" for words, which stand at the left.
        folds: Whether a terminal may break its cells into lines.
    """

    title: str
    value: str | Callable[[Any], object]
    format: str = ""
    folds: bool = False

    def cell(self, row: object, unknown: str) -> str:
        """Return what stands in a row; `unknown` for NaN and None."""
        value = self.value(row) if callable(self.value) else getattr(row, self.value)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return unknown
        return format(value, self.format)


def to_text(
    rows: Iterable[object], columns: Sequence[Column], width: int | None = None
) -> str:
    """Return a table for a terminal; "-" stands for what is unknown.

    Args:
        rows: What the columns take their cells from.
        columns: The columns.
        width: Characters in a line; None is as many as the cells take.

    Returns:
        A line of titles, then a line for each row.

    Example:
    >>> columns = [Column("real", "real", ".1f"), Column("word", lambda row: "a|b")]
    >>> print(to_text([1.25, float("nan")], columns), end="")
    real  word
     1.2  a|b
       -  a|b
    """
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(
            column.title,
            justify="right" if column.format else "left",
            no_wrap=not column.folds,
            overflow="fold",
        )
    for row in rows:
        # Text, because a name may hold what looks like markup.
        table.add_row(*(Text(column.cell(row, "-")) for column in columns))
    buffer = io.StringIO()
    Console(file=buffer, width=width or _WIDEST_LINE, color_system=None).print(table)
    lines = buffer.getvalue().splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


def to_markdown(rows: Iterable[object], columns: Sequence[Column]) -> str:
    r"""Return a table in Markdown; "-" stands for what is unknown.

    Args:
        rows: What the columns take their cells from.
        columns: The columns.

    Example:
    >>> print(to_markdown([1.25], [Column("word", lambda row: "a|b")]), end="")
    | word |
    | --- |
    | a\|b |
    """
    lines = [
        [column.title for column in columns],
        ["---:" if column.format else "---" for column in columns],
    ]
    for row in rows:
        lines.append([_escaped(column.cell(row, "-")) for column in columns])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def to_csv(rows: Iterable[object], columns: Sequence[Column]) -> str:
    r"""Return a table as CSV; an empty cell stands for what is unknown.

    Args:
        rows: What the columns take their cells from.
        columns: The columns.

    Example:
    >>> to_csv([1.25, float("nan")], [Column("real", "real", ".3f")])
    'real\n1.250\n""\n'
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(column.title for column in columns)
    for row in rows:
        writer.writerow(column.cell(row, "") for column in columns)
    return buffer.getvalue()


def _escaped(text: str) -> str:
    """Return a text that stays in its Markdown cell."""
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())
