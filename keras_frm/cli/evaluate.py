"""`keras-frm evaluate`: mean IoU of a trained model or an exported file."""

from pathlib import Path
from typing import Annotated

import typer

from keras_frm.cli.options import Data, Provider, Size, Split
from keras_frm.cli.trained import (
    choices_of_run,
    labels_of_run,
    remedies,
    require_data,
    split_of_run,
)
from keras_frm.progress import progress_bar
from keras_frm.runtime.backends.network import MODEL_ENDINGS

_REMEDIES = {
    "window": "pass --window, the height and width of the windows to slide",
    "labels": "name its --preset",
}


def evaluate(
    model: Annotated[
        Path, typer.Argument(help="Run folder, .keras, .tflite or .onnx.")
    ],
    preset: Annotated[
        str | None,
        typer.Option(
            help="Dataset and classes; else the run's, the model's or cityscapes."
        ),
    ] = None,
    data: Data = None,
    split: Split = "val",
    out: Annotated[
        Path | None, typer.Option(help="Folder for iou.csv, iou.md, confusion.png.")
    ] = None,
    resize: Size = None,
    window: Annotated[
        tuple[int, int] | None, typer.Option(help="Slide a window of this size.")
    ] = None,
    stride: Annotated[
        tuple[int, int] | None,
        typer.Option(help="Steps of the window: down, right."),
    ] = None,
    scales: Annotated[
        str, typer.Option(help="Scales to average over, such as 0.5,1,1.5.")
    ] = "1",
    flip: Annotated[bool, typer.Option(help="Average with the mirror image.")] = False,
    submission: Annotated[
        Path | None,
        typer.Option(help="Folder for PNGs in the Cityscapes server's format."),
    ] = None,
    provider: Provider = None,
) -> None:
    """Evaluate a model on a dataset: IoU of every class and their mean."""
    from keras_frm.cli.datasets import chosen_preset, plain_data, with_merges
    from keras_frm.evaluation import report
    from keras_frm.evaluation.cityscapes_server import submission_name, to_label_ids
    from keras_frm.evaluation.evaluate import evaluate as measure
    from keras_frm.files import write_png
    from keras_frm.models.own_preset import own_labels

    averaged_scales = parse_scales(scales)
    preset, data = choices_of_run([model], preset, data)
    chosen = chosen_preset(preset, data) if preset else None
    averages = window or stride or flip or averaged_scales != (1.0,)
    segment, own = _load(model, averages, provider)
    chosen = chosen or own or chosen_preset("cityscapes", data)
    chosen = with_merges(chosen, labels_of_run(model) or own_labels(segment))
    if submission and chosen.dataset != "cityscapes":
        raise ValueError("--submission writes Cityscapes' ids: --preset cityscapes.")
    if submission and chosen.labels.merges:
        raise ValueError("--submission needs Cityscapes' own classes, not merged ones.")
    _check_classes(model, segment, chosen.labels)
    require_data(chosen, data)
    own_split = split_of_run([model], data)
    with remedies(val_share="name another --split"):
        dataset = plain_data(chosen, data, split, resize, **own_split)

    def write(index, image, label, mask):
        name = submission_name(dataset.listing.pairs[index].image)
        write_png(submission / name, to_label_ids(mask))

    with remedies(**_REMEDIES), progress_bar("evaluating") as progress:
        result = measure(
            segment,
            dataset,
            labels=chosen.labels,
            mode="slide" if window or stride else "whole",
            window=window,
            stride=stride,
            scales=averaged_scales,
            flip=flip,
            progress=progress,
            on_image=write if submission else None,
        )
    print(report.to_text(result))
    if out is not None:
        print(f"tables and picture are in {report.save(result, out)}")


def _load(path, averages, provider):
    """Return what segments, and the preset that it keeps of its own, if any."""
    if path.suffix.lower() not in MODEL_ENDINGS:
        if provider is not None:
            raise ValueError("--provider is for exported files, such as .onnx.")
        from keras_frm.models.own_preset import own_preset
        from keras_frm.models.saving import load_model
        from keras_frm.training.run_folder import trained_file

        model = load_model(trained_file(path), compile=False)
        return model, own_preset(model)
    if averages:
        raise ValueError(
            f"{path} gives masks, which have no scores to average: --window, --stride, "
            "--scales and --flip need the Keras model."
        )
    from keras_frm.runtime.segmenter import Segmenter

    return Segmenter(path, provider=provider), None


def _check_classes(path, segment, labels):
    """Raise where the model has other classes, before the data are read."""
    from keras_frm.labels import known_class_count

    own = getattr(segment, "labels", None)
    network = getattr(segment, "network", segment)
    count = known_class_count(own) if own else network.output.shape[-1]
    if count not in (None, labels.num_classes):
        raise ValueError(
            f"The model in {path} has {count} classes and the label set "
            f"'{labels.name}' has {labels.num_classes}; name its --preset."
        )


def parse_scales(text: str) -> tuple[float, ...]:
    """Return the scales of a comma-separated list.

    Raises:
        ValueError: It is no list of numbers from 0.1 to 8.

    Example:
    >>> parse_scales("0.5,1")
    (0.5, 1.0)
    """
    try:
        scales = tuple(float(part) for part in text.split(","))
    except ValueError:
        scales = ()
    if not scales or not all(0.1 <= scale <= 8 for scale in scales):
        raise ValueError(
            f"--scales must be numbers from 0.1 to 8, such as 0.5,1,1.5, not '{text}'."
        )
    return scales
