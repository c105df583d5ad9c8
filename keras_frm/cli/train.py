"""`keras-frm train`: a model from labelled images."""

import dataclasses
import functools
import warnings
from pathlib import Path
from typing import Annotated

import typer

from keras_frm.cli.options import (
    Classes,
    ContrastiveWeight,
    Data,
    LearningRate,
    PresetName,
    Size,
    Xla,
    at_least_one_pixel,
    at_least_zero,
)
from keras_frm.cli.resumed_options import options_of_run, to_store


def train(
    ctx: typer.Context,
    preset: PresetName = "cityscapes",
    data: Data = None,
    classes: Classes = None,
    out: Annotated[
        Path,
        typer.Option(
            help="Run folder to make, or to go on in.",
            is_eager=True,
            callback=options_of_run,
        ),
    ] = Path("runs/train"),
    resume: Annotated[
        bool, typer.Option("--resume/--fresh", help="Go on in a run folder.")
    ] = True,
    network: Annotated[
        str | None,
        typer.Option(help="frm (default) or frm_table1; else the preset's."),
    ] = None,
    backbone: Annotated[
        str | None, typer.Option(help="van_tiny, van_small, van_base or van_large.")
    ] = None,
    context: Annotated[
        str | None, typer.Option(help="frm, ppm, dappm or none.")
    ] = None,
    alignment: Annotated[str | None, typer.Option(help="bilinear or flow.")] = None,
    decoder_width: Annotated[
        int | None, typer.Option(help="Channels of the decoder.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Start from .keras, .weights.h5 or VAN .pth.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images in a step, of all devices.")
    ] = None,
    accumulate: Annotated[
        int, typer.Option(min=1, help="Steps whose gradients make one update.")
    ] = 1,
    crop: Size = None,
    resize: Annotated[
        tuple[int, int] | None,
        typer.Option(
            help="Resize every image first: height and width.",
            callback=at_least_one_pixel,
        ),
    ] = None,
    learning_rate: LearningRate = None,
    backbone_rate: Annotated[
        float | None,
        typer.Option(
            help="Factor of the backbone's learning rate.", callback=at_least_zero
        ),
    ] = None,
    freeze_backbone: Annotated[
        bool, typer.Option("--freeze-backbone", help="Train the rest alone.")
    ] = False,
    contrastive_weight: ContrastiveWeight = None,
    weight_ema: Annotated[
        float | None,
        typer.Option(
            help="Momentum of a moving average of the weights, such as 0.999.",
            callback=at_least_zero,
        ),
    ] = None,
    precision: Annotated[
        str, typer.Option(help="float32, mixed_float16 or mixed_bfloat16.")
    ] = "float32",
    patience: Annotated[
        int | None,
        typer.Option(min=1, help="Stop after so many epochs without a better mIoU."),
    ] = None,
    devices: Annotated[
        str, typer.Option(help="one, all, or a number; TF_CONFIG names machines.")
    ] = "one",
    steps_per_execution: Annotated[
        int, typer.Option(min=1, help="Steps between looks at the training.")
    ] = 1,
    checkpoint_every: Annotated[
        float,
        typer.Option(
            help="Minutes between checkpoints within an epoch.", callback=at_least_zero
        ),
    ] = 10.0,
    cache: Annotated[
        Path | None, typer.Option(help="Folder to keep decoded images in.")
    ] = None,
    xla: Xla = None,
    rematerialize: Annotated[
        bool, typer.Option("--rematerialize", help="Less memory, more time.")
    ] = False,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Same bits each time; slower.")
    ] = False,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Train a model; what is not given comes from the preset.

    In a run folder with a checkpoint the training goes on, with the options it was
    started with; --fresh refuses that.
    """
    import keras

    from keras_frm.cli.datasets import (
        chosen_preset,
        plain_data,
        settings_of,
        training_stream,
        with_given,
    )
    from keras_frm.networks.registry import network_of
    from keras_frm.recipes import recipe
    from keras_frm.training.checkpoint import newest_position
    from keras_frm.training.distribution import distribution
    from keras_frm.training.run_folder import new_run
    from keras_frm.training.train import train as fit

    if xla and deterministic:
        raise ValueError(
            "--xla does not go together with --deterministic; leave one of them out."
        )
    # Several machines must find each other before anything else uses TensorFlow.
    spread = distribution(devices)
    if xla and spread.replicas > 1:
        raise ValueError(
            f"--xla cannot compile a step on {spread.replicas} devices; leave it out, "
            "or take --devices one."
        )
    keras.utils.set_random_seed(seed)
    if deterministic:
        _use_deterministic_operations()
    given = {
        "epochs": epochs,
        "batch_size": batch_size,
        "crop": crop,
        "learning_rate": learning_rate,
        "contrastive_weight": contrastive_weight,
        "weight_ema": weight_ema,
        "backbone_multiplier": backbone_rate,
        "network": network,
    }
    chosen = with_given(chosen_preset(preset, data, classes), given)
    network_options = _given(
        backbone=backbone,
        context=context,
        alignment=alignment,
        decoder_width=decoder_width,
        rematerialize=rematerialize or None,
        freeze_backbone=freeze_backbone or None,
    )
    described = network_of(chosen.network, **network_options)
    options = to_store(ctx.params)
    config = {
        "command": "train",
        "data": str(data),
        "resize": resize,
        "seed": seed,
        "weights": options.get("weights"),
        "network": {**dataclasses.asdict(described), "dtype": precision},
        "preset": settings_of(chosen),
        "accumulate": accumulate,
        "effective_batch": chosen.batch_size * accumulate,
        "xla": xla,
        "options": options,
    }
    with new_run(out, config, chosen.labels, resume, spread) as folder:
        position = newest_position(folder)
        if position is not None and position.finished:
            print(_finished(folder, position))
            return
        train_data = functools.partial(
            training_stream, spread, chosen, data, resize, seed, cache
        )
        # Images of one size can be validated in batches.
        validation_batch = chosen.batch_size if resize else 1
        validation_data = functools.partial(
            plain_data, chosen, data, "val", resize, validation_batch
        )
        # What is wrong with the data shows before anything is built.
        train_data(0)
        validation_data()
        with spread.scope():
            # What goes on has its own weights, wherever the first ones are by now.
            start = weights if position is None else None
            model = _built(chosen, start, described, precision)
            arguments = recipe(chosen)
            if accumulate > 1:
                arguments["optimizer"].gradient_accumulation_steps = accumulate
            model.compile(
                **arguments,
                steps_per_execution=steps_per_execution,
                jit_compile="auto" if xla is None else xla,
            )
        print(_effective_batch(chosen.batch_size, accumulate, spread.replicas))
        fit(
            model,
            train_data,
            validation_data,
            folder,
            chosen.labels,
            epochs=chosen.epochs,
            patience=patience,
            checkpoint_minutes=checkpoint_every,
            spread=spread,
        )
    print(f"best and last weights, log and curves are in {folder}")


def _given(**options):
    """Return the options of the network that were given; "none" is a value, too."""
    return {
        name: None if value == "none" else value
        for name, value in options.items()
        if value is not None
    }


def _built(chosen, weights, network, precision):
    """Build the model, and say in a line what was left out of its weights."""
    from keras_frm.models.build import build_model
    from keras_frm.models.weights import ClassifierLeftOut

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", ClassifierLeftOut)
        model = build_model(chosen, network=network, weights=weights, dtype=precision)
    for warning in said:
        print(warning.message)
    return model


def _use_deterministic_operations():
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()


def _finished(folder, position):
    """Say that a training is finished, and how good it got."""
    plural = "s" * (position.epoch != 1)
    line = f"{folder} is finished after {position.epoch} epoch{plural}"
    if position.best_epoch is None:
        return line
    best = f"{position.best:.4f} in epoch {position.best_epoch + 1}"
    return f"{line}; the best mean IoU was {best}"


def _effective_batch(batch_size, accumulate, replicas):
    """Say how many images an update of the weights comes from."""
    return (
        f"effective batch: {batch_size * accumulate} images ({batch_size} in a step on "
        f"{replicas} device{'s' * (replicas > 1)}, {accumulate} "
        f"step{'s' * (accumulate > 1)} for an update)"
    )
