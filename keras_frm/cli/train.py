"""`keras-frm train`: a model from labelled images."""

import dataclasses
import functools
from pathlib import Path

import typer

from keras_frm.cli.class_weights import class_weights_of
from keras_frm.cli.options import (
    Classes,
    ContrastiveWeight,
    Data,
    LearningRate,
    PresetName,
    Size,
    Xla,
)
from keras_frm.cli.resumed_options import to_store, was_given
from keras_frm.cli.train_options import (
    Accumulate,
    AdjustBias,
    Alignment,
    Backbone,
    BackboneRate,
    BatchSize,
    Cache,
    CheckpointEvery,
    ClassWeights,
    Context,
    DecoderWidth,
    Deterministic,
    Devices,
    Epochs,
    FreezeBackbone,
    Loss,
    MoreEpochs,
    Network,
    Out,
    Patience,
    Precision,
    Rematerialize,
    Resize,
    Resume,
    Seed,
    StepsPerExecution,
    ValShare,
    WeightEma,
    Weights,
)
from keras_frm.cli.train_parts import (
    adjusted_line,
    built_model,
    effective_batch_line,
    finished_line,
    given_options,
    mask_of,
    network_named,
    use_deterministic_operations,
)
from keras_frm.cli.trained import remedies

_HOLD_OUT = "pass --val-share 0.1 to hold out a tenth of the training images"


def train(
    ctx: typer.Context,
    preset: PresetName = "cityscapes",
    data: Data = None,
    classes: Classes = None,
    out: Out = Path("runs/train"),
    val_share: ValShare = None,
    resume: Resume = True,
    network: Network = None,
    backbone: Backbone = None,
    context: Context = None,
    alignment: Alignment = None,
    decoder_width: DecoderWidth = None,
    weights: Weights = None,
    epochs: Epochs = None,
    more_epochs: MoreEpochs = None,
    batch_size: BatchSize = None,
    accumulate: Accumulate = 1,
    crop: Size = None,
    resize: Resize = None,
    learning_rate: LearningRate = None,
    backbone_rate: BackboneRate = None,
    freeze_backbone: FreezeBackbone = False,
    loss: Loss = None,
    class_weights: ClassWeights = None,
    adjust_bias: AdjustBias = None,
    contrastive_weight: ContrastiveWeight = None,
    weight_ema: WeightEma = None,
    precision: Precision = "float32",
    patience: Patience = None,
    devices: Devices = "one",
    steps_per_execution: StepsPerExecution = 1,
    checkpoint_every: CheckpointEvery = 10.0,
    cache: Cache = None,
    xla: Xla = None,
    rematerialize: Rematerialize = False,
    deterministic: Deterministic = False,
    seed: Seed = 0,
) -> None:
    """Train a model; what is not given comes from the preset.

    In a run folder with a checkpoint the training goes on, with the options it was
    started with; --fresh refuses that, --more-epochs extends one that is finished.
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
    from keras_frm.training.class_bias import adjust_run
    from keras_frm.training.distribution import distribution
    from keras_frm.training.extension import (
        extend,
        is_finished,
        keep_extension,
        newest_extension,
    )
    from keras_frm.training.run_folder import FINAL, new_run
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
        use_deterministic_operations()
    options = to_store(ctx.params)
    more_rate = None
    if more_epochs is not None:  # the option is theirs, not the run's
        more_rate = learning_rate if was_given(ctx, "learning_rate") else None
        learning_rate = (ctx.default_map or {}).get("learning_rate")
    given = {
        "epochs": epochs,
        "batch_size": batch_size,
        "crop": crop,
        "learning_rate": learning_rate,
        "loss": loss,
        "adjust_bias": adjust_bias,
        "contrastive_weight": contrastive_weight,
        "weight_ema": weight_ema,
        "backbone_multiplier": backbone_rate,
        "network": network_named(network, weights),
    }
    chosen = with_given(chosen_preset(preset, data, classes), given)
    split = {} if val_share is None else {"val_share": val_share}
    plain = functools.partial(plain_data, chosen, data, resize=resize, **split)
    weighed = class_weights_of(
        class_weights, chosen.labels, out, lambda: map(mask_of, plain("train"))
    )
    chosen = with_given(chosen, {"class_weights": weighed})
    network_options = given_options(
        backbone=backbone,
        context=context,
        alignment=alignment,
        decoder_width=decoder_width,
        rematerialize=rematerialize or None,
        freeze_backbone=freeze_backbone or None,
    )
    described = network_of(chosen.network, **network_options)
    config = {
        "command": "train",
        "data": str(data),
        "val_share": val_share,
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
        first_rate = chosen.recipe.learning_rate
        extension = newest_extension(folder)
        if more_epochs is not None:
            extension = extend(folder, more_epochs, more_rate, first_rate)
            if spread.is_chief:
                keep_extension(folder, extension)
        weights_of_classes = chosen.recipe.adjust_bias and chosen.recipe.class_weights
        position = newest_position(folder)
        # One that was killed before its end may have the bias still to adjust.
        is_adjusted = not weights_of_classes or (folder / FINAL).is_file()
        if position is not None and is_finished(position, extension) and is_adjusted:
            print(finished_line(folder, position))
            return
        train_data = functools.partial(
            training_stream, spread, chosen, data, resize, seed, cache, **split
        )
        # Images of one size can be validated in batches.
        validation_batch = chosen.batch_size if resize else 1
        validation_data = functools.partial(
            plain, split="val", batch_size=validation_batch
        )
        # What is wrong with the data shows before anything is built.
        with remedies(val_share=_HOLD_OUT):
            train_data(0)
            validation_data()
        with spread.scope():
            # What goes on has its own weights, wherever the first ones are by now.
            start = weights if position is None else None
            model = built_model(chosen, start, described, precision)
            planned = chosen
            if extension is not None:
                rate = extension.learning_rate
                planned = chosen.with_changes(learning_rate=rate, warmup_steps=0)
            arguments = recipe(planned)
            if accumulate > 1:
                arguments["optimizer"].gradient_accumulation_steps = accumulate
            model.compile(
                **arguments,
                steps_per_execution=steps_per_execution,
                jit_compile="auto" if xla is None else xla,
            )
        print(effective_batch_line(chosen.batch_size, accumulate, spread.replicas))
        fit(
            model,
            train_data,
            validation_data,
            folder,
            chosen.labels,
            epochs=chosen.epochs,
            extension=extension,
            patience=patience,
            checkpoint_minutes=checkpoint_every,
            spread=spread,
        )
        if weights_of_classes and spread.is_chief:
            print(adjusted_line(adjust_run(folder, plain("train"), weights_of_classes)))
    print(f"best and last weights, log and curves are in {folder}")
