"""Tables for a terminal, in Markdown and as CSV."""

import csv
import math
from typing import NamedTuple

from keras_frm import tables
from keras_frm.tables import Column


class Row(NamedTuple):
    name: str
    share: float
    count: int | None


ROWS = (Row("[red]a|b", 0.12345, 7), Row("a\\b", math.nan, None))
COLUMNS = (
    Column("name", "name"),
    Column("share", "share", ".1%"),
    Column("twice", lambda row: row.count and 2 * row.count, "d"),
)


def test_text_lines_up_and_shows_names_as_they_are():
    assert tables.to_text(ROWS, COLUMNS).splitlines() == [
        "name      share  twice",
        "[red]a|b  12.3%     14",
        "a\\b           -      -",
    ]


def test_long_cells_fold_only_where_they_may():
    rows = [Row("x" * 300, 0.5, 1)]
    text = tables.to_text(rows, COLUMNS)
    assert text.splitlines()[1].startswith("x" * 300 + "  50.0%")
    folding = (Column("name", "name", folds=True), *COLUMNS[1:])
    lines = tables.to_text(rows, folding, width=60).splitlines()
    assert max(map(len, lines)) <= 60
    assert sum(line.count("x") for line in lines) == 300
    assert "50.0%" in lines[1]


def test_markdown_keeps_names_in_their_cells():
    assert tables.to_markdown(ROWS, COLUMNS).splitlines() == [
        "| name | share | twice |",
        "| --- | ---: | ---: |",
        "| [red]a\\|b | 12.3% | 14 |",
        "| a\\\\b | - | - |",
    ]
    broken = [Row("two\nlines", 1.0, 1)]
    assert tables.to_markdown(broken, COLUMNS).splitlines()[2].startswith("| two lines")


def test_csv_is_read_back():
    rows = list(csv.DictReader(tables.to_csv(ROWS, COLUMNS).splitlines()))
    assert rows == [
        {"name": "[red]a|b", "share": "12.3%", "twice": "14"},
        {"name": "a\\b", "share": "", "twice": ""},
    ]


def test_no_rows():
    assert tables.to_text([], COLUMNS) == "name  share  twice\n"
    assert tables.to_csv([], COLUMNS) == "name,share,twice\n"


def test_no_colours_in_the_text(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in tables.to_text(ROWS, COLUMNS)
