"""`keras-frm profile`: where parameters and multiply-adds, or the time, go."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from keras_frm.cli.options import at_least_one_pixel
from keras_frm.cli.train_options import (
    Alignment,
    Backbone,
    Context,
    DecoderWidth,
    Network,
)
from keras_frm.cli.train_parts import given_options
from keras_frm.progress import progress_bar

# What tells networks apart, here and in the paper.
_SHOWN = ("backbone", "context", "alignment")
# Of these, input size -> the paper's parameters (M) and GFLOPs (Table 1, 2).
_PAPER = {
    ("van_small", "frm", "flow", (1024, 2048)): (16.48, 214.82),
    ("van_small", "ppm", "flow", (1024, 2048)): (15.23, 213.21),
    ("van_small", "dappm", "flow", (1024, 2048)): (15.98, 214.81),
    ("van_small", "frm", "flow", (720, 1280)): (16.48, 94.55),
}


def profile(
    model: Annotated[
        Path | None,
        typer.Argument(
            help="A .tflite or .onnx file, to time its operations; none counts a "
            "preset's network."
        ),
    ] = None,
    network: Network = None,
    backbone: Backbone = None,
    context: Context = None,
    alignment: Alignment = None,
    decoder_width: DecoderWidth = None,
    preset: Annotated[
        str, typer.Option(help="Preset, for the classes.")
    ] = "cityscapes",
    size: Annotated[
        tuple[int, int],
        typer.Option(help="Height and width.", callback=at_least_one_pixel),
    ] = (1024, 2048),
    threads: Annotated[int, typer.Option(min=1, help="Threads, for a file.")] = 2,
    runs: Annotated[int, typer.Option(min=1, help="Timed runs, for a file.")] = 20,
    out: Annotated[
        Path | None, typer.Option(help="Folder for a file's table (csv, text).")
    ] = None,
) -> None:
    """Count the costs of a network's parts, or time the operations of a file."""
    if model is None:
        options = given_options(
            backbone=backbone,
            context=context,
            alignment=alignment,
            decoder_width=decoder_width,
        )
        _count_parts(network, options, preset, size)
    else:
        _time_operations(model, threads, runs, out)


def _time_operations(path, threads, runs, out):
    from keras_frm.benchmark import operation_report
    from keras_frm.benchmark.onnx_operation_times import time_onnx_operations
    from keras_frm.benchmark.operation_times import time_operations

    timers = {".tflite": time_operations, ".onnx": time_onnx_operations}
    if path.suffix.lower() not in timers:
        raise ValueError(
            f"{path} is no .tflite and no .onnx file; without a file, --network and "
            "its options name the network to count."
        )
    time_all = timers[path.suffix.lower()]
    with progress_bar("timing operations") as progress:
        timed = time_all(path, threads=threads, runs=runs, progress=progress)
    print(f"{path}\n{operation_report.to_text(timed, limit=30)}", end="")
    if out is not None:
        print(f"the whole table is in {operation_report.save(timed, out, path.stem)}")


def _count_parts(network, options, preset, size):
    """Print the parameters and multiply-adds of each part of a network."""
    from keras_frm.models.build import build_model
    from keras_frm.models.cost import profile as count
    from keras_frm.networks.registry import network_of
    from keras_frm.presets import preset as find_preset
    from keras_frm.tables import Column, to_text

    chosen = find_preset(preset)
    described = network_of(network or chosen.network, **options)
    model = build_model(chosen, network=described)
    columns = (
        Column("part", "name"),
        Column("parameters (M)", lambda row: row.parameters / 1e6, ".3f"),
        Column("G multiply-adds", lambda row: row.multiply_adds / 1e9, ".2f"),
        Column("attention (G)", lambda row: row.attention_multiply_adds / 1e9, ".2f"),
    )
    names = dataclasses.asdict(described)
    listed = [f"{name} {names[name]}" for name in _SHOWN if name in names]
    print(f"{', '.join(listed)}, {size[1]}x{size[0]}")
    print(to_text(count(model, size), columns), end="")
    published = _PAPER.get((*(names.get(name) for name in _SHOWN), size))
    if published:
        print("the paper: {:.2f} M, {:.2f} GFLOPs".format(*published))
    print(
        "Counted: trainable parameters; multiply-adds of convolutions, one image. The\n"
        "paper's GFLOPs are such multiply-adds; its count leaves out the two products\n"
        "of the attention, which stand apart here."
    )
