"""Optimizer, losses and metrics of a preset's recipe."""

import keras

from keras_frm.losses import BoundaryLoss, CrossEntropy, OhemCrossEntropy
from keras_frm.metrics import MeanIoU
from keras_frm.optimizers.adamw import AdamW
from keras_frm.optimizers.coupled_sgd import CoupledSGD
from keras_frm.optimizers.poly_decay import PolyDecay
from keras_frm.presets import Preset, preset


def recipe(
    name: str | Preset,
    steps: int | None = None,
    num_classes: int | None = None,
    backbone_multiplier: float | None = None,
) -> dict:
    """Return the arguments of `compile` that a preset trains with.

    Args:
        name: Name of a preset, or a `Preset`.
        steps: Training steps over which the learning rate falls to 0. None lets
            `SegmentationModel.fit` count them.
        num_classes: Classes of the model, where they are not the preset's.
        backbone_multiplier: Factor of the backbone's learning rate, the recipe's by
            default.

    Returns:
        A dict with "optimizer", "loss" and "metrics".

    Raises:
        ValueError: There is no such preset, or its recipe names an unknown optimizer
            or loss.

    Example:
    >>> recipe("cityscapes")["optimizer"].momentum
    0.9
    """
    chosen = preset(name)
    schedule = PolyDecay(
        chosen.recipe.learning_rate,
        total_steps=steps,
        power=chosen.recipe.power,
        warmup_steps=chosen.recipe.warmup_steps,
    )
    if backbone_multiplier is None:
        backbone_multiplier = chosen.recipe.backbone_multiplier
    ignore_label = chosen.labels.ignore_label
    return {
        "optimizer": _optimizer(chosen, schedule, backbone_multiplier),
        "loss": main_loss(chosen),
        "metrics": [
            MeanIoU(num_classes or chosen.labels.num_classes, ignore_label=ignore_label)
        ],
    }


def auxiliary_loss(
    name: str | Preset, output: str, is_boundary: bool = False
) -> keras.losses.Loss:
    """Return the loss of an auxiliary output of classes or of boundaries.

    Args:
        name: Name of a preset, or a `Preset`.
        output: Name of the output.
        is_boundary: Whether it has one channel, for boundaries.

    Raises:
        ValueError: There is no such preset, or its recipe names an unknown loss.

    Example:
    >>> type(auxiliary_loss("cityscapes", "stage_3")).__name__
    'CrossEntropy'
    """
    chosen = preset(name)
    default = "boundary" if is_boundary else "cross_entropy"
    return _loss(chosen, chosen.recipe.auxiliary_losses.get(output, default))


def main_loss(name: str | Preset) -> keras.losses.Loss:
    """Return the loss of a preset's logits.

    Args:
        name: Name of a preset, or a `Preset`.

    Raises:
        ValueError: There is no such preset, or its recipe names an unknown loss.

    Example:
    >>> type(main_loss("cityscapes")).__name__
    'CrossEntropy'
    """
    chosen = preset(name)
    return _loss(chosen, chosen.recipe.loss)


def boundary_aware_loss(name: str | Preset) -> keras.losses.Loss:
    """Return a preset's main loss as it is of pixels near a boundary alone.

    Args:
        name: Name of a preset, or a `Preset`.

    Raises:
        ValueError: There is no such preset, or its recipe names an unknown loss.

    Example:
    >>> boundary_aware_loss("cityscapes_bialignnet").min_kept
    40000
    """
    chosen = preset(name)
    if chosen.recipe.boundary_kept is not None:
        chosen = chosen.with_changes(ohem_kept=chosen.recipe.boundary_kept)
    return main_loss(chosen)


def _optimizer(chosen, schedule, backbone_multiplier):
    recipe = chosen.recipe
    options = {
        "weight_decay": recipe.weight_decay,
        "backbone_multiplier": backbone_multiplier,
    }
    if recipe.weight_ema is not None:
        options |= {"use_ema": True, "ema_momentum": recipe.weight_ema}
    if recipe.optimizer == "sgd":
        # SFNet's code, the paper's framework, decays every weight, norms included.
        options["l2"] = options.pop("weight_decay")
        return CoupledSGD(schedule, momentum=recipe.momentum, **options)
    if recipe.optimizer == "adamw":
        optimizer = AdamW(schedule, **options)
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        return optimizer
    raise ValueError(
        f"The recipe of preset '{chosen.name}' names the optimizer "
        f"'{recipe.optimizer}'; it must be 'sgd' or 'adamw'."
    )


def _loss(chosen, kind):
    options = {
        "ignore_label": chosen.labels.ignore_label,
        "class_weights": chosen.recipe.class_weights,
    }
    if kind == "cross_entropy":
        return CrossEntropy(**options)
    if kind == "cross_entropy_of_all_pixels":
        return CrossEntropy(**options, divisor="pixels")
    if kind == "boundary":
        return BoundaryLoss()
    if kind == "ohem":
        return OhemCrossEntropy(
            chosen.recipe.ohem_threshold, chosen.recipe.ohem_kept, **options
        )
    raise ValueError(
        f"The recipe of preset '{chosen.name}' names the loss '{kind}'; it must be "
        "'cross_entropy' or 'ohem'."
    )
