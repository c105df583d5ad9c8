"""`keras-frm train`: a model from labelled images."""

from pathlib import Path
from typing import Annotated

import typer

from keras_frm.cli.options import Data, PresetName, Size, at_least_one_pixel


def train(
    preset: PresetName = "cityscapes",
    data: Data = None,
    out: Annotated[Path, typer.Option(help="Run folder to make.")] = Path("runs/train"),
    backbone: Annotated[
        str, typer.Option(help="van_tiny, van_small, van_base or van_large.")
    ] = "van_small",
    context: Annotated[str, typer.Option(help="frm, ppm, dappm or none.")] = "frm",
    alignment: Annotated[str, typer.Option(help="bilinear or flow.")] = "bilinear",
    decoder_width: Annotated[int, typer.Option(help="Channels of the decoder.")] = 128,
    weights: Annotated[
        Path | None, typer.Option(help="Start from .keras, .weights.h5 or VAN .pth.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1)] = None,
    batch_size: Annotated[int | None, typer.Option(min=1)] = None,
    crop: Size = None,
    resize: Annotated[
        tuple[int, int] | None,
        typer.Option(
            help="Resize every image first: height and width.",
            callback=at_least_one_pixel,
        ),
    ] = None,
    learning_rate: Annotated[float | None, typer.Option()] = None,
    contrastive_weight: Annotated[float | None, typer.Option(help="lambda")] = None,
    precision: Annotated[
        str, typer.Option(help="float32, mixed_float16 or mixed_bfloat16.")
    ] = "float32",
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Train a model; what is not given comes from the preset."""
    import dataclasses

    import keras

    from keras_frm.cli.datasets import chosen_preset, plain_data, training_data
    from keras_frm.models.build import build_model
    from keras_frm.optimizers.recipe import recipe
    from keras_frm.training.run_folder import new_run
    from keras_frm.training.train import train as fit

    keras.utils.set_random_seed(seed)
    chosen = chosen_preset(preset, data)
    given = {
        "epochs": epochs,
        "batch_size": batch_size,
        "crop": crop,
        "learning_rate": learning_rate,
        "contrastive_weight": contrastive_weight,
    }
    given = {key: value for key, value in given.items() if value is not None}
    chosen = dataclasses.replace(chosen, **given)
    train_data = training_data(
        chosen, data, chosen.batch_size, chosen.crop, resize, seed
    )
    # Images of one size can be validated in batches.
    validation_batch = chosen.batch_size if resize else 1
    validation_data = plain_data(chosen, data, "val", resize, validation_batch)
    network = {
        "backbone": backbone,
        "context": None if context == "none" else context,
        "alignment": alignment,
        "decoder_width": decoder_width,
        "dtype": precision,
    }
    model = build_model(chosen, weights=weights, **network)
    model.compile(**recipe(chosen))
    settings = dataclasses.asdict(chosen)
    settings.pop("labels")
    config = {
        "command": "train",
        "data": str(data),
        "resize": resize,
        "seed": seed,
        "weights": str(weights) if weights else None,
        "network": network,
        "preset": settings,
    }
    with new_run(out, config, chosen.labels) as folder:
        fit(
            model,
            train_data,
            validation_data,
            folder,
            chosen.labels,
            epochs=chosen.epochs,
        )
    print(f"best and last weights, log and curves are in {folder}")
