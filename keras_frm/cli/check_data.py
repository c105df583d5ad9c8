"""`keras-frm check-data`: what is wrong in a dataset, and what it holds."""

from pathlib import Path
from typing import Annotated

import typer

from keras_frm.cli.options import Classes
from keras_frm.progress import progress_bar


def check_data(
    data: Annotated[Path, typer.Argument(help="Folder of the dataset.")],
    preset: Annotated[
        str, typer.Option(help="cityscapes, bdd100k, camvid, or folder (your own).")
    ] = "folder",
    split: Annotated[
        str | None, typer.Option(help="train, val or test; for folder also none.")
    ] = None,
    classes: Classes = None,
) -> None:
    """Read every file of a dataset: counts, problems, class histogram."""
    from rich.console import Console

    from keras_frm.cli.datasets import chosen_preset
    from keras_frm.data.check import check_data as check

    labels = chosen_preset(preset, data, classes).labels if classes else None
    if split is None and preset != "folder":
        split = "train"
    with progress_bar("reading") as progress:
        report = check(preset, data, split, progress=progress, labels=labels)

    console = Console()
    sizes = ", ".join(f"{h}x{w}: {count}" for (h, w), count in report.image_sizes)
    console.print(f"{report.pairs} pairs; sizes (height x width): {sizes or 'none'}")
    console.print(_table(report.table()))
    for path, reason in report.skipped:
        console.print(f"left out: {path}: {reason}", markup=False)
    for row in report.warning_rows():
        line = "warning: {warning} Files: {files}, the first {first}".format(**row)
        console.print(line, markup=False)
    if report.problems:
        console.print(_table(report.problem_rows()))
        print(f"{report.problems} problems: correct or remove these files.")
        raise typer.Exit(1)
    console.print("no problems")


def _table(rows):
    """Return dicts of equal keys as a table for the terminal."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None)
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        cells = (f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values())
        # Text, because a file's name may hold what looks like markup.
        table.add_row(*map(Text, cells))
    return table
