"""`keras-frm evaluate`: mean IoU of a trained model or an exported file."""

from pathlib import Path
from typing import Annotated

import typer

from keras_frm.cli.options import Data, PresetName, Size, Split
from keras_frm.progress import progress_bar


def evaluate(
    model: Annotated[Path, typer.Argument(help="Run folder, .keras or .tflite file.")],
    preset: PresetName = "cityscapes",
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
) -> None:
    """Evaluate a model on a dataset: IoU of every class and their mean."""
    from keras_frm.cli.datasets import chosen_preset, plain_data
    from keras_frm.evaluation import report
    from keras_frm.evaluation.cityscapes_server import submission_name, to_label_ids
    from keras_frm.evaluation.evaluate import evaluate as measure
    from keras_frm.files import write_png

    averaged_scales = parse_scales(scales)
    chosen = chosen_preset(preset, data)
    if submission and chosen.dataset != "cityscapes":
        raise ValueError("--submission writes Cityscapes' ids: --preset cityscapes.")
    averages = window or stride or flip or averaged_scales != (1.0,)
    segment = _load(model, chosen.labels, averages)
    dataset = plain_data(chosen, data, split, resize)

    def write(index, image, label, mask):
        name = submission_name(dataset.listing.pairs[index].image)
        write_png(submission / name, to_label_ids(mask))

    with progress_bar("evaluating") as progress:
        result = measure(
            segment,
            dataset,
            labels=chosen.labels,
            mode="slide" if window else "whole",
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


def _load(path, labels, averages):
    """Return the Keras network of a file, or what gives masks by an exported one."""
    if path.suffix.lower() != ".tflite":
        from keras_frm.training.run_folder import load_trained

        return load_trained(path, labels)[0]
    if averages:
        raise ValueError(
            f"{path} gives masks, which have no scores to average: --window, --stride, "
            "--scales and --flip need the Keras model."
        )
    from keras_frm.runtime.segmenter import Segmenter

    return Segmenter(path)


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
