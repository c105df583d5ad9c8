"""`keras-frm weights`: the trained weights that come with the package."""

from typing import Annotated

import typer

from keras_frm.cli.data_tables import print_text
from keras_frm.tables import Column, to_text
from keras_frm.weights.shipped import FOLDER, find_shipped, shipped_weights

_COLUMNS = (
    Column("weights", "name"),
    Column("network", "network"),
    Column("classes", lambda row: len(row.classes), "d"),
    Column("trained on", "trained_on"),
    Column("measured on", "measured_on"),
    Column("mIoU", "mean_iou", ".1%"),
    Column("int8", "mean_iou_int8", ".1%"),
    Column("int8 MB", lambda row: (FOLDER / row.device).stat().st_size / 1e6, ".1f"),
)


def weights(
    name: Annotated[
        str | None, typer.Argument(help="Show the card of these weights.")
    ] = None,
) -> None:
    """List the trained weights that come with the package, and their licences."""
    known = shipped_weights()
    if name is not None:
        chosen = find_shipped(name)
        if chosen is None:
            raise ValueError(
                f"There are no weights '{name}'. Choose one of: {', '.join(known)}."
            )
        print_text(chosen.card())
        return
    print_text(to_text(known.values(), _COLUMNS))
    for each in known.values():
        print_text(f"{each.name}: {each.licence}")
