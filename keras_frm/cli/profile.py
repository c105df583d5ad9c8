"""`keras-frm profile`: parameters and multiply-adds, beside the paper's table."""

from typing import Annotated

import typer

from keras_frm.cli.options import at_least_one_pixel

# Alignment, context, input size -> the paper's parameters (M) and GFLOPs (Table 1, 2).
_PAPER = {
    ("flow", "frm", (1024, 2048)): (16.48, 214.82),
    ("flow", "ppm", (1024, 2048)): (15.23, 213.21),
    ("flow", "dappm", (1024, 2048)): (15.98, 214.81),
    ("flow", "frm", (720, 1280)): (16.48, 94.55),
}


def profile(
    backbone: Annotated[
        str, typer.Option(help="van_tiny, van_small, van_base or van_large.")
    ] = "van_small",
    context: Annotated[str, typer.Option(help="frm, ppm, dappm or none.")] = "frm",
    alignment: Annotated[str, typer.Option(help="bilinear or flow.")] = "bilinear",
    preset: Annotated[
        str, typer.Option(help="Preset, for the classes.")
    ] = "cityscapes",
    size: Annotated[
        tuple[int, int],
        typer.Option(help="Height and width.", callback=at_least_one_pixel),
    ] = (1024, 2048),
) -> None:
    """Count parameters and multiply-adds of each part of the network."""
    from rich.console import Console
    from rich.table import Table

    from keras_frm.models.build import build_model
    from keras_frm.models.profile import profile as count

    chosen_context = None if context == "none" else context
    model = build_model(
        preset, backbone=backbone, context=chosen_context, alignment=alignment
    )
    table = Table(
        "part", "parameters (M)", "G multiply-adds", "attention (G)", box=None
    )
    for row in count(model, size):
        table.add_row(
            row.name,
            f"{row.parameters / 1e6:.3f}",
            f"{row.multiply_adds / 1e9:.2f}",
            f"{row.attention_multiply_adds / 1e9:.2f}",
        )
    console = Console()
    console.print(f"{backbone}, {context}, {alignment}, {size[1]}x{size[0]}")
    console.print(table)
    published = _PAPER.get((alignment, context, size))
    if backbone == "van_small" and published:
        console.print("the paper: {:.2f} M, {:.2f} GFLOPs".format(*published))
    console.print(
        "Counted: trainable parameters; multiply-adds of convolutions, one image. The\n"
        "paper's GFLOPs are such multiply-adds; its count leaves out the two products\n"
        "of the attention, which stand apart here."
    )
