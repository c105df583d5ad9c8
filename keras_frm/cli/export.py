"""`keras-frm export`: a trained model as a file for a device."""

from pathlib import Path
from typing import Annotated

import typer

from keras_frm.cli.exported_files import export_file
from keras_frm.cli.options import Data, Split, at_least_one_pixel
from keras_frm.cli.trained import choices_of_run, labels_of_run, note_numbers


def export(
    model: Annotated[Path, typer.Argument(help="Run folder or .keras file.")],
    out: Annotated[
        Path, typer.Argument(help="File to write, ending in .tflite or .onnx.")
    ],
    size: Annotated[
        tuple[int, int],
        typer.Option(
            help="Height and width the file takes.", callback=at_least_one_pixel
        ),
    ],
    precision: Annotated[
        str,
        typer.Option(
            help="float32, float16 or int8; of .tflite also dynamic and int8_full."
        ),
    ] = "float32",
    output: Annotated[str, typer.Option(help="mask, logits or scores.")] = "mask",
    output_stride: Annotated[
        int,
        typer.Option(help="1; the network's own leaves the last resizing to the app."),
    ] = 1,
    preset: Annotated[
        str | None, typer.Option(help="Dataset and classes; else the run folder's.")
    ] = None,
    data: Data = None,
    split: Split = "train",
    images: Annotated[
        Path | None,
        typer.Option(help="Folder of images without labels, in the place of --data."),
    ] = None,
    open_batch: Annotated[
        bool, typer.Option(help="Leave the number of images open, of .onnx.")
    ] = False,
    keep_float: Annotated[
        list[str] | None,
        typer.Option(help="Operations left in float, such as 'decoder.*'; repeatable."),
    ] = None,
    min_agreement: Annotated[
        float | None,
        typer.Option(help="Least share of the sure pixels with the model's class."),
    ] = None,
) -> None:
    """Export a model as a checked .tflite or .onnx file and report on it."""
    from keras_frm.cli.datasets import chosen_preset, with_merges
    from keras_frm.targets import target_of
    from keras_frm.training.run_folder import load_trained

    file_format = _format_of(out)
    target = target_of(precision, file_format)
    if open_batch and file_format != "onnx":
        raise ValueError("--open-batch is for .onnx files; .tflite files take one.")
    if keep_float and file_format == "onnx":
        raise ValueError(
            "--keep-float is for .tflite files here; give it to keras-frm quantize."
        )
    own = labels_of_run(model)
    given = with_merges(chosen_preset(preset, data), own) if preset else None
    network, labels = load_trained(model, given.labels if given else None)
    if images is None:
        preset, data = choices_of_run([model], preset, data)
    if data is not None and preset is None:
        raise ValueError("--data needs --preset, which says how to read it.")
    chosen = given
    if preset and given is None:
        chosen = with_merges(chosen_preset(preset, data), own)
    samples = _samples(chosen, data, split, images)
    if samples is None and target.calibrated:
        raise ValueError(
            f"--precision {precision} needs --preset and --data, or --images: images "
            "to measure the ranges of the tensors on."
        )
    note_numbers(model, labels)
    report = export_file(
        network,
        out,
        input_shape=size,
        precision=precision,
        representative_data=samples,
        output=output,
        output_stride=output_stride,
        labels=labels,
        min_agreement=min_agreement,
        provenance={"source": model.name},
        keep_float=keep_float or (),
        batch=None if open_batch else 1,
    )
    print(report)


def _format_of(out: Path) -> str:
    """Return the format of a file by its ending."""
    if out.suffix not in (".tflite", ".onnx"):
        raise ValueError(
            f"The file's name must end in .tflite or .onnx, not '{out.name}'."
        )
    return out.suffix[1:]


def _samples(chosen, data, split, images):
    """Return the images to calibrate and check on, None where no option names any."""
    from keras_frm.cli.datasets import plain_data
    from keras_frm.data.representative import folder_images

    if images is not None and data is not None:
        raise ValueError("--images and --data both name images; give one of them.")
    if images is not None:
        return folder_images(images)
    if data is None and (chosen is None or chosen.dataset != "synthetic"):
        return None
    return plain_data(chosen, data, split, None).as_numpy_iterator()
