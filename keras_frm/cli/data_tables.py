"""Tables of what a dataset holds and of what is wrong in it, as commands print them."""

import shutil
import sys
from collections.abc import Iterable, Mapping

from keras_frm.tables import Column, to_text


def by_kind(rows: Iterable[Mapping], severity: str) -> list[dict]:
    """Return a row for each kind: how many files, the first, its detail.

    Args:
        rows: A kind, a file and a detail in each.
        severity: What the column of the kinds is called, "problem" or "note".

    Example:
    >>> row = {"note": "empty", "file": "a.png", "detail": "0 pixels"}
    >>> by_kind([row, {**row, "file": "b.png"}], "note")
    [{'note': 'empty', 'files': 2, 'first': 'a.png', 'detail': '0 pixels'}]
    """
    kinds = {}
    for row in rows:
        kinds.setdefault(row[severity], []).append(row)
    return [
        {
            severity: kind,
            "files": len(rows),
            "first": rows[0]["file"],
            "detail": rows[0]["detail"],
        }
        for kind, rows in kinds.items()
    ]


def print_table(rows: Iterable[Mapping], *words: str, **numbers: str) -> None:
    """Print dicts of equal keys: columns of words, and of numbers with their format."""
    columns = [
        Column(name, lambda row, name=name: row[name], number_format, folds=True)
        for name, number_format in {**dict.fromkeys(words, ""), **numbers}.items()
    ]
    # Only a terminal breaks lines: what is kept in a file is searched by them.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    print_text(to_text(rows, columns, width))


def print_text(text: str) -> None:
    """Print a text in which a file's name may be no Unicode."""
    print(text.encode("utf-8", "backslashreplace").decode())
