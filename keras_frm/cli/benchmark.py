"""`keras-frm benchmark`: model files, or a training step."""

import itertools
from pathlib import Path
from typing import Annotated

import typer

from keras_frm.cli.options import Data, Size, Split, Xla, at_least_one_pixel
from keras_frm.cli.train_parts import given_options
from keras_frm.cli.trained import (
    choices_of_run,
    labels_of_run,
    remedies,
    require_data,
    split_of_run,
)
from keras_frm.progress import staged_progress, timed_progress


def benchmark(
    models: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files (.tflite, .onnx, .engine, .keras) and run folders; the others "
            "are compared with the first."
        ),
    ] = None,
    data: Data = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Preset of --data, or synthetic; else the run's, or cityscapes."
        ),
    ] = None,
    split: Split = "val",
    limit: Annotated[
        int, typer.Option(min=1, help="Images of the dataset to take.")
    ] = 50,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each runtime.")] = 2,
    runs: Annotated[int, typer.Option(min=1, help="Timed rounds.")] = 30,
    size: Size = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for benchmark.csv, .md and .png.")
    ] = None,
    train: Annotated[
        bool, typer.Option("--train", help="Time the training step of a network.")
    ] = False,
    network: Annotated[
        str | None,
        typer.Option(help="With --train: frm, frm_lite0 or frm_table1."),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(help="With --train: van_tiny, -small, -base, -large and others."),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="With --train (default: the preset's).")
    ] = None,
    crop: Annotated[
        tuple[int, int] | None,
        typer.Option(
            help="With --train: height and width (default: the preset's).",
            callback=at_least_one_pixel,
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option(help="With --train: float32, mixed_float16 or mixed_bfloat16."),
    ] = "float32",
    rematerialize: Annotated[
        bool,
        typer.Option(
            "--rematerialize", help="With --train: compute twice, for less memory."
        ),
    ] = False,
    xla: Xla = None,
) -> None:
    """Compare model files: latency, memory, size, agreement and mean IoU.

    Without --data the masks are compared on the data of the models' run, or else on
    synthetic scenes. --size is for files that take any size. With --train no file is
    taken: a step's input (of --data), forward pass, backward pass and update are timed.
    """
    if train == bool(models):
        raise typer.BadParameter(
            "give model files to compare, or --train without a file"
        )
    if train:
        options = (network, backbone, batch_size, crop, precision, rematerialize, xla)
        _benchmark_training(preset or "cityscapes", data, threads, runs, out, *options)
        return
    from keras_frm.benchmark import comparison_report
    from keras_frm.benchmark.comparison import compare_models

    found, data = choices_of_run(models, preset, data)
    if data is not None or found == "synthetic":  # a preset is of no use without data
        preset = found
    dataset = {}
    if data is not None or preset is not None:
        from keras_frm.benchmark.tensorflow_threads import limit_threads

        # Reading data starts TensorFlow, which then keeps its threads.
        limit_threads(threads)
        dataset = _dataset(
            *(preset or "cityscapes", data, split, limit, labels_of_run(models[0])),
            **split_of_run(models, data),
        )
    with staged_progress() as progress, remedies(size="say which with --size"):
        result = compare_models(
            models,
            **dataset,
            threads=threads,
            runs=runs,
            size=size,
            progress=progress,
        )
    print(comparison_report.to_text(result), end="")
    if out is not None:
        print(f"tables and picture are in {comparison_report.save(result, out)}")


def _benchmark_training(
    preset,
    data,
    threads,
    runs,
    out,
    network,
    backbone,
    batch_size,
    crop,
    precision,
    remat,
    xla,
) -> None:
    from keras_frm.benchmark.tensorflow_threads import limit_threads

    threads = limit_threads(threads)
    from keras_frm.benchmark import training_step_report
    from keras_frm.benchmark.training_step import time_training_step
    from keras_frm.cli.datasets import chosen_preset, training_data
    from keras_frm.models.build import build_model
    from keras_frm.networks.registry import network_of

    chosen = chosen_preset(preset, data)
    batch_size, crop = batch_size or chosen.batch_size, crop or chosen.crop
    batches = None
    if data is not None or chosen.dataset == "synthetic":
        batches = training_data(chosen, data, batch_size, crop, None, 0, first_step=0)
    options = given_options(backbone=backbone, rematerialize=remat or None)
    described = network_of(network or chosen.network, **options)
    model = build_model(chosen, network=described, dtype=precision)
    model.compile(jit_compile="auto" if xla is None else xla)
    choices = {"rematerialized": remat, "XLA": model.jit_compile}
    with timed_progress() as bar:
        task = bar.add_task("training steps", total=runs + 2)
        result = time_training_step(
            model,
            crop,
            batch_size,
            batches=batches,
            network=", ".join(
                [described.backbone, *(name for name, on in choices.items() if on)]
            ),
            runs=runs,
            threads=threads,
            on_round=lambda: bar.advance(task),
        )
    print(training_step_report.to_text(result), end="")
    if out is not None:
        print(f"the table is in {training_step_report.save(result, out)}")


def _dataset(preset, data, split, limit, own, **own_split) -> dict:
    """Return the images, labels and name of a dataset as `benchmark` takes them."""
    from keras_frm.cli.datasets import chosen_preset, plain_data, with_merges

    chosen = with_merges(chosen_preset(preset, data), own)
    require_data(chosen, data)
    batches = plain_data(chosen, data, split, None, **own_split)
    pairs = ((images[0].numpy(), labels[0].numpy()) for images, labels in batches)
    return {
        "pairs": itertools.islice(pairs, limit),
        "labels": chosen.labels,
        "images": min(limit, int(batches.cardinality())),
        "source": f"{chosen.dataset} {split}",
    }
