"""Small CSV tables that users write, with the line of each row for errors."""

import csv
from collections.abc import Sequence
from pathlib import Path

from keras_frm.files import DataError

_MAX_BYTES = 64 * 1024


def csv_rows(path: Path, header: Sequence[str]) -> list[tuple[int, list[str]]]:
    """Return the rows of a CSV file below its header.

    Args:
        path: A file in UTF-8 of up to 64 KB.
        header: Names that its first line must hold; case and spaces do not count.

    Returns:
        Line number and fields of each row that is not blank.

    Raises:
        DataError: The file is missing, too large, not CSV or without the header.

    Example:
    >>> csv_rows(Path("/nowhere.csv"), ["id", "name"])
    Traceback (most recent call last):
    keras_frm.files.DataError: There is no class file '/nowhere.csv'. Write one ...
    """
    wanted = ",".join(header)
    lines = read_lines(path, f"the header {wanted} and a row for each class")
    try:
        reader = csv.reader(lines, strict=True)
        rows = [(reader.line_num, row) for row in reader if any(row)]
    except csv.Error as error:
        raise _not_text(path, "CSV", error) from error
    found = [field.strip().lower() for field in rows[0][1]] if rows else []
    if found != [name.lower() for name in header]:
        raise DataError(
            f"Class file '{path}' does not start with the header {wanted}. "
            "Write it into the first line."
        )
    return rows[1:]


def read_lines(path: Path, content: str) -> list[str]:
    """Return the lines of a small text file, with their ends.

    Args:
        path: A file in UTF-8 of up to 64 KB.
        content: What should stand in it, for the error.

    Raises:
        DataError: The file is missing, too large or not UTF-8.
    """
    if not path.is_file():
        raise DataError(f"There is no class file '{path}'. Write one with {content}.")
    if path.stat().st_size > _MAX_BYTES:
        raise DataError(f"Class file '{path}' is over {_MAX_BYTES} bytes. Shorten it.")
    try:
        # Spreadsheets write a byte order mark, which utf-8-sig takes off.
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(file)
    except (OSError, UnicodeDecodeError) as error:
        raise _not_text(path, "text", error) from error


def _not_text(path: Path, kind: str, error: Exception) -> DataError:
    return DataError(
        f"Class file '{path}' is not {kind} in UTF-8 ({error}). Save it as that."
    )
