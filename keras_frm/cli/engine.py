"""`keras-frm engine`: an .onnx file as a TensorRT engine of this machine."""

from pathlib import Path
from typing import Annotated

import typer

_MEBIBYTE = 2**20


def engine(
    model: Annotated[Path, typer.Argument(help=".onnx file of export.")],
    out: Annotated[
        Path | None,
        typer.Argument(
            help="File to write, ending in .engine, or a folder for one that is named "
            "by GPU and version; else the folder of the model."
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="float32 for an engine of a file in float32; else it is the file's."
        ),
    ] = None,
    workspace: Annotated[
        int | None,
        typer.Option(help="Most MiB that a layer may take for its work.", min=1),
    ] = None,
) -> None:
    """Build a TensorRT engine on the machine and the GPU that are to run it."""
    from keras_frm.runtime.tensorrt.build import build_engine

    given = None if workspace is None else workspace * _MEBIBYTE
    print(build_engine(model, out, precision=precision, workspace=given))
