"""`keras-frm check-data`: what is wrong in a dataset, and what it holds."""

from pathlib import Path
from typing import Annotated

import typer

from keras_frm.cli.data_tables import by_kind, print_table, print_text
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
    val_share: Annotated[
        float | None,
        typer.Option(help="Share of train that is val, as for keras-frm train."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for overlays.png, some of the masks.")
    ] = None,
) -> None:
    """Read every file of a dataset: counts, problems, class histogram.

    Problems end with exit code 1, notes alone with 0.
    """
    from keras_frm.cli.datasets import chosen_preset
    from keras_frm.cli.trained import remedies
    from keras_frm.data.check import check_data as check

    labels = chosen_preset(preset, data, classes).labels if classes else None
    if split is None and preset != "folder":
        split = "train"
    with (
        remedies(val_share="pass --val-share 0.1"),
        progress_bar("reading") as progress,
    ):
        report = check(
            *(preset, data, split),
            progress=progress,
            labels=labels,
            val_share=val_share,
        )

    sizes = ", ".join(f"{h}x{w}: {count}" for (h, w), count in report.image_sizes)
    print(f"{report.pairs} pairs; sizes (height x width): {sizes or 'none'}\n")
    print_table(report.table(), "id", "class", pixels=",", percent=".3f", images=",")
    if report.note_rows():
        rows = by_kind(report.note_rows(), "note")
        print_table(rows, "note", files=",", first="", detail="")
    for row in report.warning_rows():
        print_text("warning: {warning} Files: {files}, the first {first}".format(**row))
    if report.problems:
        print_table(report.problem_rows(), "problem", "file", "detail")
    if out is not None:
        _write_overlays(report, out)
    if report.problems:
        print(f"{report.problems} problems: correct them, or remove the files.")
        raise typer.Exit(1)
    print("no problems")


def _write_overlays(report, out):
    """Write the overlays of a few pairs, and say which they are."""
    from keras_frm.data.overlays import chosen_pairs, draw_pairs
    from keras_frm.files import write_png

    if not report.sound_pairs:
        print("No pair can be drawn.")
        return
    flagged = frozenset(row["file"] for row in report.problem_rows())
    pairs = chosen_pairs(report.sound_pairs, flagged)
    write_png(out / "overlays.png", draw_pairs(report.listing, pairs))
    print(f"{out / 'overlays.png'} shows, row by row:")
    for pair in pairs:
        print_text(f"  {pair.image}")
