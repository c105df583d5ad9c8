"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer


def at_least_one_pixel(size: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return a size that an option was given, as typer's callbacks do.

    Raises:
        typer.BadParameter: A side is not positive.
    """
    if size is not None and min(size) < 1:
        raise typer.BadParameter("height and width must be at least 1")
    return size


Data = Annotated[Path | None, typer.Option(help="Folder of the dataset.")]
PresetName = Annotated[
    str,
    typer.Option(help="cityscapes, bdd100k, camvid, synthetic, or folder (your own)."),
]
Split = Annotated[str, typer.Option(help="train, val or test.")]
Size = Annotated[
    tuple[int, int] | None,
    typer.Option(help="Height and width, in pixels.", callback=at_least_one_pixel),
]
