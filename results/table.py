"""The csv tables of the scripts in this folder."""

import csv
import sys
from collections.abc import Iterable
from pathlib import Path


def write_table(rows: Iterable[dict], path: Path | None = None) -> None:
    """Write rows to standard output, and to a file if there is one.

    Each row is written as it comes, so an interrupted run leaves what it has; one that
    ends before its first row leaves the file that was there.

    Args:
        rows: Column -> value, all with the columns of the first.
        path: The file.
    """
    file, writers = None, []
    try:
        for row in rows:
            if not writers:
                file = path and path.open("w", newline="")
                writers = [csv.DictWriter(to, row) for to in (sys.stdout, file) if to]
                for writer in writers:
                    writer.writeheader()
            for writer in writers:
                writer.writerow(row)
            for to in (sys.stdout, file):
                if to:
                    to.flush()
    finally:
        if file:
            file.close()
