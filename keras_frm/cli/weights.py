"""`keras-frm weights`: the trained weights that come with the package."""

import dataclasses
import warnings
from pathlib import Path
from typing import Annotated

import typer

from keras_frm.cli.data_tables import print_text
from keras_frm.tables import Column, to_text
from keras_frm.weights.shipped import (
    FOLDER,
    LicenceNotice,
    find_shipped,
    shipped_weights,
)

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
    out: Annotated[
        Path | None,
        typer.Option(help="Run folder to make of them, for the other commands."),
    ] = None,
) -> None:
    """List the trained weights that come with the package, and their licences."""
    known = shipped_weights()
    if name is None:
        if out is not None:
            raise ValueError("--out is for one of the weights: name which.")
        if not known:
            print("No weights come with this version of keras_frm.")
            return
        print_text(to_text(known.values(), _COLUMNS))
        for each in known.values():
            print_text(f"{each.name}: {each.licence}")
        return
    chosen = find_shipped(name)
    if chosen is None:
        raise ValueError(
            f"There are no weights '{name}'. Choose one of: {', '.join(known)}."
        )
    if out is None:
        print_text(chosen.card())
        return
    _write_run(chosen, out)
    print(f"{out} holds {name}. {chosen.licence}")


def _write_run(shipped, folder):
    """Make a run folder that holds the network with its weights."""
    from keras_frm.cli.datasets import settings_of
    from keras_frm.files import write_bytes
    from keras_frm.models.build import build_model
    from keras_frm.networks.registry import network_of
    from keras_frm.presets import preset
    from keras_frm.training.run_config import BEST
    from keras_frm.training.run_folder import new_run, save_model

    chosen = preset(shipped.preset).with_changes(network=shipped.network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LicenceNotice)  # the command says it itself
        model = build_model(chosen, weights=shipped.name)
    config = {
        "command": "weights",
        "weights": shipped.name,
        "network": dataclasses.asdict(network_of(shipped.network)),
        "preset": settings_of(chosen),
    }
    with new_run(folder, config, chosen.labels):
        save_model(model.network, folder / BEST)
        write_bytes(folder / "card.md", shipped.card().encode())
