"""`keras-frm quantize`: train a run further with the arithmetic of an int8 file."""

from pathlib import Path
from typing import Annotated

import typer

from keras_frm.cli.comparison import compare_files
from keras_frm.cli.exported_files import export_files
from keras_frm.cli.options import (
    ContrastiveWeight,
    Data,
    LearningRate,
    Size,
    at_least_one_pixel,
)
from keras_frm.cli.trained import labels_of_run, split_of_run
from keras_frm.progress import progress_bar

_REPORT_IMAGES = 8


def quantize(
    run: Annotated[Path, typer.Argument(help="Run folder or .keras file, float.")],
    size: Annotated[
        tuple[int, int] | None,
        typer.Option(
            help="Height and width the file takes; else the run's --resize.",
            callback=at_least_one_pixel,
        ),
    ] = None,
    data: Data = None,
    preset: Annotated[
        str | None, typer.Option(help="Dataset and recipe; else the run folder's.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Run folder to make.")] = Path(
        "runs/quantize"
    ),
    epochs: Annotated[
        int | None, typer.Option(min=0, help="0 quantises without training.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1)] = None,
    resize: Size = None,
    learning_rate: LearningRate = None,
    contrastive_weight: ContrastiveWeight = None,
    distil: Annotated[
        bool, typer.Option(help="Learn the float model's probabilities too.")
    ] = False,
    freeze_after: Annotated[
        int | None, typer.Option(help="Steps after which ranges stay.", min=0)
    ] = None,
    keep_float: Annotated[
        list[str] | None,
        typer.Option(help="Operations left in float, such as 'decoder.*'; repeatable."),
    ] = None,
    scheme: Annotated[
        str, typer.Option(help="litert for .tflite files, tensorrt for .onnx files.")
    ] = "litert",
    float_depthwise: Annotated[
        bool,
        typer.Option(
            "--float-depthwise",
            help="Leave depthwise convolutions in float, of scheme tensorrt.",
        ),
    ] = False,
    report: Annotated[
        bool,
        typer.Option(
            "--report", help="Signal to noise of every tensor, of scheme litert."
        ),
    ] = False,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Train for int8 and compare float, int8 after training and int8 in training."""
    import functools

    import keras

    from keras_frm.cli.datasets import (
        chosen_preset,
        plain_data,
        settings_of,
        training_data,
        with_given,
        with_merges,
    )
    from keras_frm.presets import quantization_preset
    from keras_frm.targets import target_of_scheme
    from keras_frm.training.run_folder import load_settings, load_trainable, new_run

    file_format = target_of_scheme(scheme).format
    if report and file_format != "tflite":
        raise ValueError(f"--report is for scheme litert, not '{scheme}'.")
    if float_depthwise and file_format != "onnx":
        raise ValueError(
            "--float-depthwise is for scheme tensorrt; name the convolutions with "
            "--keep-float."
        )
    keras.utils.set_random_seed(seed)
    if not run.exists():
        raise FileNotFoundError(f"There is no run folder and no .keras file at {run}.")
    settings = load_settings(run)
    resize = resize or settings.get("resize")
    size = size or resize
    if size is None:
        raise ValueError("Pass --size: the height and width that the file will take.")
    own = settings.get("preset", {})
    preset = preset or own.get("name")
    if contrastive_weight is None:
        contrastive_weight = own.get("recipe", {}).get("contrastive_weight")
    if preset is None:
        raise ValueError(f"{run} names no preset; pass --preset.")
    given = {
        "crop": tuple(size),
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "contrastive_weight": contrastive_weight,
    }
    chosen = with_merges(chosen_preset(str(preset), data), labels_of_run(run))
    chosen = quantization_preset(chosen)
    chosen = with_given(chosen, given)
    model, labels = load_trainable(run, chosen)
    _check(model, labels, chosen, run)
    split = split_of_run([run], data)
    train_data = None
    if chosen.epochs:
        train_data = functools.partial(
            training_data, chosen, data, chosen.batch_size, size, resize, seed, **split
        )
        train_data(0)  # what is wrong with the data shows before anything is done
    validation_data = plain_data(chosen, data, "val", size, **split)
    calibration = plain_data(chosen, data, "train", resize, **split)
    options = {
        "scheme": scheme,
        "freeze_after": freeze_after,
        "keep_float": keep_float or (),
        "float_depthwise": float_depthwise,
    }
    config = {
        "command": "quantize",
        "run": str(run),
        "data": str(data),
        "size": size,
        "resize": resize,
        "seed": seed,
        "distil": distil,
        "preset": settings_of(chosen),
        **options,
    }
    with new_run(out, config, labels, resume=True) as folder:
        trained = None
        # Integers of an .onnx file come from such a network alone, trained or not.
        if chosen.epochs or file_format == "onnx":
            trained = _trained(
                model,
                calibration,
                train_data,
                validation_data,
                folder,
                chosen,
                teacher=model if distil else None,
                **options,
            )
        files = export_files(
            *(model, trained, folder, size, labels, calibration),
            *(options["keep_float"], file_format),
        )
        if report:
            print(_report(model, trained, folder, size, calibration, options))
    compared = (files, validation_data, labels, folder, "validation images")
    print(compare_files(*compared), end="")
    print(f"files, log and benchmark.md are in {folder}")


def _check(model, labels, chosen, run):
    from keras_frm.quantization.freeze import scheme_of

    if labels.num_classes != chosen.labels.num_classes:
        raise ValueError(
            f"The model in {run} has {labels.num_classes} classes and preset "
            f"'{chosen.name}' has {chosen.labels.num_classes}; name the right preset."
        )
    if scheme_of(model):
        raise ValueError(
            f"The model in {run} is quantised already; start from the float one."
        )


def _trained(
    model, calibration, train_data, validation_data, folder, chosen, **options
):
    """Train with simulated integers; return the best network, ranges measured again."""
    from keras_frm.quantization.aware import quantize_aware
    from keras_frm.quantization.recalibrate import recalibrate
    from keras_frm.recipes import recipe
    from keras_frm.training.run_folder import FINAL, load_trained, save_model
    from keras_frm.training.train import train

    with progress_bar("measuring ranges") as progress:
        trainable = quantize_aware(
            model,
            representative_data=calibration.as_numpy_iterator(),
            input_shape=chosen.crop,
            progress=progress,
            **options,
        )
    if not chosen.epochs:
        save_model(trainable, folder / FINAL)
        return trainable
    trainable.compile(**recipe(chosen))
    train(
        trainable,
        train_data,
        validation_data,
        folder,
        chosen.labels,
        epochs=chosen.epochs,
    )
    with progress_bar("measuring ranges again") as progress:
        final = recalibrate(
            load_trained(folder)[0],
            representative_data=calibration.as_numpy_iterator(),
            keep_float=options["keep_float"],
            progress=progress,
        )
    save_model(final, folder / FINAL)
    return final


def _report(model, trained, folder, size, calibration, options):
    """Write the error of every tensor; return the worst as a table."""
    from keras_frm.data.representative import images_of
    from keras_frm.export.inference_graph import logits_graph
    from keras_frm.quantization import error_report
    from keras_frm.quantization.after_training import (
        prepare_for_integers,
        quantize_after_training,
    )
    from keras_frm.quantization.freeze import freeze, without_fake_quant
    from keras_frm.quantization.tensor_errors import tensor_errors
    from keras_frm.targets import target_of

    images = images_of(calibration.as_numpy_iterator(), tuple(size), _REPORT_IMAGES)
    graph = logits_graph(model if trained is None else trained, size, 1)
    if trained is None:
        name = "int8_after_training"
        reference = prepare_for_integers(graph, target_of("int8"), images)
        rounded = quantize_after_training(reference, images, options["keep_float"])
    else:
        name, reference = "int8", without_fake_quant(graph)
        rounded = freeze(graph)
    with progress_bar("comparing tensors") as progress:
        errors = tensor_errors(reference, rounded, images, progress)
    error_report.save(errors, folder, name)
    return error_report.to_text(errors)
