"""Optimizer, loss and metrics of a preset."""

from keras_frm.losses import CrossEntropy
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
        backbone_multiplier: Factor of the learning rate of the backbone's weights,
            for a backbone that is trained already; None for one rate.

    Returns:
        A dict with "optimizer", "loss" and "metrics".

    Raises:
        ValueError: There is no such preset, or it names an unknown optimizer.

    Example:
    >>> recipe("cityscapes")["optimizer"].momentum
    0.9
    """
    chosen = preset(name)
    schedule = PolyDecay(
        chosen.learning_rate,
        total_steps=steps,
        power=chosen.power,
        warmup_steps=chosen.warmup_steps,
    )
    ignore_label = chosen.labels.ignore_label
    return {
        "optimizer": _optimizer(chosen, schedule, backbone_multiplier),
        "loss": CrossEntropy(ignore_label=ignore_label),
        "metrics": [
            MeanIoU(num_classes or chosen.labels.num_classes, ignore_label=ignore_label)
        ],
    }


def _optimizer(chosen, schedule, backbone_multiplier):
    """Return the preset's optimizer."""
    options = {
        "weight_decay": chosen.weight_decay,
        "backbone_multiplier": backbone_multiplier,
    }
    if chosen.weight_ema is not None:
        options |= {"use_ema": True, "ema_momentum": chosen.weight_ema}
    if chosen.optimizer == "sgd":
        # SFNet's code, the paper's framework, decays every weight, norms included.
        options["l2"] = options.pop("weight_decay")
        return CoupledSGD(schedule, momentum=chosen.momentum, **options)
    if chosen.optimizer == "adamw":
        optimizer = AdamW(schedule, **options)
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        return optimizer
    raise ValueError(
        f"Preset '{chosen.name}' names the optimizer '{chosen.optimizer}'; "
        "it must be 'sgd' or 'adamw'."
    )
