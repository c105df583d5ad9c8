"""Options that several commands share."""

import math
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


def at_least_zero(value: float | None) -> float | None:
    """Return a number that an option was given; NaN and infinity are none.

    Raises:
        typer.BadParameter: It is negative or no finite number.
    """
    if value is not None and not 0 <= value < math.inf:
        raise typer.BadParameter("it must be a number, 0 or more")
    return value


Data = Annotated[Path | None, typer.Option(help="Folder of the dataset.")]
PresetName = Annotated[
    str,
    typer.Option(
        help="cityscapes, bdd100k, camvid, the same for little hardware "
        "(cityscapes_small, camvid_small), synthetic, or folder (your own)."
    ),
]
Classes = Annotated[
    Path | None,
    typer.Option(help="CSV name,class: the classes of the dataset to merge into one."),
]
Split = Annotated[str, typer.Option(help="train, val or test.")]
Size = Annotated[
    tuple[int, int] | None,
    typer.Option(help="Height and width, in pixels.", callback=at_least_one_pixel),
]
LearningRate = Annotated[float | None, typer.Option(callback=at_least_zero)]
Xla = Annotated[
    bool | None,
    typer.Option(
        "--xla/--no-xla",
        help="Compile the training step with XLA; as Keras decides if not given.",
    ),
]
ContrastiveWeight = Annotated[
    float | None, typer.Option(help="lambda", callback=at_least_zero)
]
Provider = Annotated[
    str | None,
    typer.Option(help="What runs an .onnx file: cpu, cuda, tensorrt or openvino."),
]
