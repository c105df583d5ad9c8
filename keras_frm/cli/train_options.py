"""Options of `keras-frm train`."""

from pathlib import Path
from typing import Annotated

import typer

from keras_frm.cli.options import at_least_one_pixel, at_least_zero
from keras_frm.cli.resumed_options import options_of_run
from keras_frm.weights.shipped import IMAGENET, find_shipped

_LOSSES = ("cross_entropy", "ohem")


def known_loss(name: str | None) -> str | None:
    """Return the loss that an option was given, as typer's callbacks do.

    Raises:
        typer.BadParameter: There is no such loss.
    """
    if name not in (None, *_LOSSES):
        raise typer.BadParameter(f"choose one of {', '.join(_LOSSES)}")
    return name


def name_or_path(text: str | None) -> str | None:
    """Return the name of weights, or a path that is right from any folder."""
    if text is None or text == IMAGENET or find_shipped(text) is not None:
        return text
    return str(Path(text).absolute())


Out = Annotated[
    Path,
    typer.Option(
        help="Run folder to make, or to go on in.",
        is_eager=True,
        callback=options_of_run,
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume/--fresh", help="Go on in a run folder.")
]
Network = Annotated[
    str | None,
    typer.Option(help="frm (default), frm_lite0 or frm_table1; else the preset's."),
]
Backbone = Annotated[
    str | None,
    typer.Option(
        help="van_tiny, -small, -base, -large; efficientnet_lite0, -1, -2; mit_b0, -1."
    ),
]
Context = Annotated[str | None, typer.Option(help="frm, ppm, dappm or none.")]
Alignment = Annotated[str | None, typer.Option(help="bilinear or flow.")]
DecoderWidth = Annotated[int | None, typer.Option(help="Channels of the decoder.")]
Weights = Annotated[
    str | None,
    typer.Option(
        help="Start from imagenet (of efficientnet_lite), from weights of the package "
        "(keras-frm weights), a run folder, .keras, .weights.h5, or an official "
        ".pth or .pdparams.",
        callback=name_or_path,
    ),
]
Epochs = Annotated[int | None, typer.Option(min=1)]
BatchSize = Annotated[
    int | None, typer.Option(min=1, help="Images in a step, of all devices.")
]
Accumulate = Annotated[
    int, typer.Option(min=1, help="Steps whose gradients make one update.")
]
Resize = Annotated[
    tuple[int, int] | None,
    typer.Option(
        help="Resize every image first: height and width.",
        callback=at_least_one_pixel,
    ),
]
BackboneRate = Annotated[
    float | None,
    typer.Option(
        help="Factor of the backbone's learning rate.", callback=at_least_zero
    ),
]
FreezeBackbone = Annotated[
    bool, typer.Option("--freeze-backbone", help="Train the rest alone.")
]
AdjustBias = Annotated[
    bool | None,
    typer.Option(
        "--adjust-bias/--no-adjust-bias",
        help="Take back, at the end, what of class weights makes rare classes too "
        "frequent; as the preset says if not given.",
    ),
]
WeightEma = Annotated[
    float | None,
    typer.Option(
        help="Momentum of a moving average of the weights, such as 0.999.",
        callback=at_least_zero,
    ),
]
Precision = Annotated[
    str, typer.Option(help="float32, mixed_float16 or mixed_bfloat16.")
]
Patience = Annotated[
    int | None,
    typer.Option(min=1, help="Stop after so many epochs without a better mIoU."),
]
Devices = Annotated[
    str, typer.Option(help="one, all, or a number; TF_CONFIG names machines.")
]
StepsPerExecution = Annotated[
    int, typer.Option(min=1, help="Steps between looks at the training.")
]
CheckpointEvery = Annotated[
    float,
    typer.Option(
        help="Minutes between checkpoints within an epoch.", callback=at_least_zero
    ),
]
Cache = Annotated[Path | None, typer.Option(help="Folder to keep decoded images in.")]
Rematerialize = Annotated[
    bool, typer.Option("--rematerialize", help="Less memory, more time.")
]
Deterministic = Annotated[
    bool, typer.Option("--deterministic", help="Same bits each time; slower.")
]
Seed = Annotated[int, typer.Option()]
MoreEpochs = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Epochs that a finished run gets besides; --learning-rate is theirs.",
    ),
]
ValShare = Annotated[
    float | None,
    typer.Option(
        help="Share of the training images to validate on, where there is no val."
    ),
]
Loss = Annotated[
    str | None,
    typer.Option(
        help="cross_entropy, or ohem for the hardest pixels.", callback=known_loss
    ),
]
ClassWeights = Annotated[
    str | None,
    typer.Option(
        help="Such as road=1,car=2.5; or sqrt or balanced, by the training masks."
    ),
]
