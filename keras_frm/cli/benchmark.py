"""`keras-frm benchmark`: latency, memory and accuracy of model files."""

import itertools
from pathlib import Path
from typing import Annotated

import typer

from keras_frm.cli.options import Data, Size, Split
from keras_frm.progress import timed_progress


def benchmark(
    models: Annotated[
        list[Path],
        typer.Argument(
            help="Files (.tflite, .keras, .onnx) and run folders; the others are "
            "compared with the first."
        ),
    ],
    data: Data = None,
    preset: Annotated[
        str | None,
        typer.Option(help="Preset of --data, or synthetic (default: cityscapes)."),
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
) -> None:
    """Compare model files: latency, memory, size, agreement and mean IoU.

    Without --data the masks are compared on synthetic scenes. --size is for files
    that take any size.
    """
    from keras_frm.evaluation import benchmark_report
    from keras_frm.evaluation.benchmark import benchmark as measure

    dataset = {}
    if data is not None or preset is not None:
        from keras_frm.evaluation.tensorflow_threads import limit_threads

        # Reading data starts TensorFlow, which then keeps its threads.
        limit_threads(threads)
        dataset = _dataset(preset or "cityscapes", data, split, limit)
    with timed_progress() as bar:
        tasks = {}

        def progress(stage, done, total):
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done)

        result = measure(
            models,
            **dataset,
            threads=threads,
            runs=runs,
            size=size,
            progress=progress,
        )
    print(benchmark_report.to_text(result), end="")
    if out is not None:
        print(f"tables and picture are in {benchmark_report.save(result, out)}")


def _dataset(preset, data, split, limit) -> dict:
    """Return the images, labels and name of a dataset as `benchmark` takes them."""
    from keras_frm.cli.datasets import chosen_preset, plain_data

    chosen = chosen_preset(preset, data)
    batches = plain_data(chosen, data, split, None)
    pairs = ((images[0].numpy(), labels[0].numpy()) for images, labels in batches)
    return {
        "pairs": itertools.islice(pairs, limit),
        "labels": chosen.labels,
        "images": min(limit, int(batches.cardinality())),
        "source": f"{chosen.dataset} {split}",
    }
