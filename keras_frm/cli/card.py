"""`keras-frm card`: one page about a trained model."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from keras_frm.cli.options import Data, Split
from keras_frm.cli.trained import (
    choices_of_run,
    labels_of_run,
    require_data,
    split_of_run,
)
from keras_frm.progress import staged_progress
from keras_frm.runtime.backends.network import MODEL_ENDINGS

_PICTURES = 4
_FILES = (".tflite", ".onnx")  # of a run folder, where none are named


def card(
    run: Annotated[Path, typer.Argument(help="Run folder, or .keras file.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help=".tflite, .onnx or .engine files of it; else the first two kinds in "
            "the run folder."
        ),
    ] = None,
    data: Data = None,
    preset: Annotated[
        str | None, typer.Option(help="Preset of --data; else the run's.")
    ] = None,
    split: Split = "val",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Images to measure on; else all.")
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="First line; else the run's name.")
    ] = None,
    extra_data: Annotated[
        str, typer.Option(help="What it was trained on before, such as ImageNet.")
    ] = "",
    licence: Annotated[
        str | None, typer.Option(help="Terms of the data; else those that are known.")
    ] = None,
    pictures: Annotated[
        bool, typer.Option(help="Show images of the data, as their terms allow.")
    ] = True,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each runtime.")] = 2,
    out: Annotated[
        Path | None, typer.Option(help="Folder for card.md; else the run's.")
    ] = None,
) -> None:
    """Write one page about a trained model and its files: card.md.

    It holds data and licence, recipe and command, IoU of every class, size, latency and
    memory of the files, what runs outside XNNPACK, pictures and limits.
    """
    from keras_frm.benchmark.tensorflow_threads import limit_threads

    folder = run if run.is_dir() else run.parent
    files = files or [
        path for path in sorted(folder.glob("*")) if path.suffix in _FILES
    ]
    _check(run, files)
    preset, data = choices_of_run([run], preset, data)
    limit_threads(threads)  # before reading data starts TensorFlow

    from keras_frm.benchmark.comparison import compare_models
    from keras_frm.benchmark.model_card import ModelCard
    from keras_frm.cli.datasets import chosen_preset, plain_data, with_merges
    from keras_frm.data.sources import TERMS
    from keras_frm.files import write_bytes, write_png
    from keras_frm.models.cost import profile
    from keras_frm.training.run_config import load_settings
    from keras_frm.training.run_folder import load_trained

    chosen = with_merges(
        chosen_preset(preset or "cityscapes", data), labels_of_run(run)
    )
    require_data(chosen, data)
    dataset = plain_data(chosen, data, split, None, **split_of_run([run], data))
    count = min(limit or int(dataset.cardinality()), int(dataset.cardinality()))
    pairs = ((image[0], mask[0]) for image, mask in dataset.as_numpy_iterator())
    size = None if files else dataset.element_spec[0].shape[1:3]
    with staged_progress() as progress:
        measured = compare_models(
            [run, *files],
            itertools.islice(pairs, count),
            labels=chosen.labels,
            images=count,
            source=f"{chosen.dataset} {split}",
            threads=threads,
            size=size,
            progress=progress,
        )
    network, _ = load_trained(run, chosen.labels)
    out = folder if out is None else out
    if pictures:
        write_png(
            out / "card.png", _pictures(run, files, dataset, count, chosen.labels)
        )
    settings = load_settings(folder)
    page = ModelCard(
        title or folder.name,
        chosen.labels,
        measured,
        settings=settings,
        command=command_of(settings) if settings else "",
        cost=profile(network, measured.rows[0].input_size),
        data_terms=TERMS.get(chosen.dataset, "") if licence is None else licence,
        extra_data=extra_data,
        files={
            row.name: _device_file(row.path, threads)
            for row in measured.rows
            if row.path.suffix.lower() == ".tflite"
        },
        pictures="card.png" if pictures else None,
    )
    write_bytes(out / "card.md", page.to_markdown().encode())
    print(f"the card is {out / 'card.md'}")


def command_of(settings: Mapping) -> str:
    """Return the command line that a run was started with.

    Args:
        settings: The run's configuration.

    Example:
    >>> command_of({"options": {"preset": "camvid", "crop": [8, 9], "resume": True}})
    'keras-frm train --preset camvid --crop 8 9 --resume'
    """
    words = ["keras-frm", str(settings.get("command", "train"))]
    for name, value in (settings.get("options") or {}).items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, (list, tuple)):
            words += [option, *map(str, value)]
        elif value is True:
            words.append(option)
        elif value not in (False, None):
            words += [option, str(value)]
    return " ".join(words)


def _check(run, files):
    """Raise where a file is not there or of another kind, before anything is said."""
    for path in (run, *files):
        if not path.exists():
            raise FileNotFoundError(f"There is no model at {path}.")
    for path in files:
        if path.suffix.lower() not in MODEL_ENDINGS:
            raise ValueError(
                f"{path} is no exported file; a card is of {', '.join(MODEL_ENDINGS)}."
            )


def _device_file(path, threads):
    """Return how XNNPACK runs a .tflite file."""
    from keras_frm.benchmark.model_card import DeviceFile
    from keras_frm.export.tflite.partitions import delegated_outputs, outside_delegate
    from keras_frm.runtime.backends.litert import open_tflite

    interpreter = open_tflite(path.read_bytes(), threads)
    partitions = len(delegated_outputs(interpreter))
    return DeviceFile(partitions, outside_delegate(interpreter))


def _pictures(run, files, dataset, count, labels):
    """Return images with their labels and the masks of every file, below each other."""
    from keras_frm.benchmark.model_files import open_models
    from keras_frm.runtime.draw import grid, masks_beside
    from keras_frm.training.samples import spread_examples

    models, rows = open_models([run, *files]), []
    models = [model for model in models if model.provider is None]  # each file once
    for image, label in spread_examples(dataset.take(count), _PICTURES):
        masks = {"label": label} | {m.name: m.segment(image) for m in models}
        rows.append(masks_beside(image, masks, labels))
    return grid(rows)
