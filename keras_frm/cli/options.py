"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[Path | None, typer.Option(help="Folder of the dataset.")]
PresetName = Annotated[
    str,
    typer.Option(help="cityscapes, bdd100k, camvid, synthetic, or folder (your own)."),
]
Split = Annotated[str, typer.Option(help="train, val or test.")]
Size = Annotated[
    tuple[int, int] | None, typer.Option(help="Height and width, in pixels.")
]
