"""The one table of presets: dataset, classes, sizes and recipe by name."""

import dataclasses
from dataclasses import dataclass

from keras_frm.labels import BDD100K, CAMVID, CITYSCAPES, LabelSet


@dataclass(frozen=True)
class Preset:
    """What `build_model`, `load_dataset` and `recipe` take for a dataset by default.

    Args:
        name: Name of the preset.
        dataset: What reads the data: "cityscapes", "bdd100k", "camvid", "synthetic" or
            "folder".
        labels: Classes and palette.
        crop: Height and width of a training crop, in pixels.
        batch_size: Images in a training batch, over all devices.
        epochs: Passes over the training set.
        optimizer: "sgd" (weight decay inside the momentum) or "adamw".
        learning_rate: Starting learning rate; it falls to 0 by the poly rule.
        weight_decay: Strength of the weight decay, in the optimizer's own form.
        momentum: Momentum of "sgd".
        power: Exponent of the poly rule.
        warmup_steps: Steps over which the learning rate rises linearly.
        scale_range: Smallest and largest factor of the random resize.
        colour_jitter: Strength of the random brightness, contrast and saturation.
        contrastive_weight: Weight of the pixel-contrastive loss (the paper's lambda).
        temperature: Temperature of the pixel-contrastive loss (tau).
        weight_ema: Momentum of a moving average of the weights, which the training
            ends with; None for none.
        source: Where the numbers come from.

    Example:
    >>> preset("cityscapes").crop
    (1024, 1024)
    """

    name: str
    dataset: str
    labels: LabelSet
    crop: tuple[int, int]
    batch_size: int
    epochs: int
    optimizer: str = "sgd"
    learning_rate: float = 0.01
    weight_decay: float = 1e-4
    momentum: float = 0.9
    power: float = 0.9
    warmup_steps: int = 0
    scale_range: tuple[float, float] = (0.5, 2.0)
    colour_jitter: float = 0.0
    contrastive_weight: float = 1.0
    temperature: float = 0.1
    weight_ema: float | None = None
    source: str = ""


PRESETS: dict[str, Preset] = {}


def register_preset(new: Preset) -> Preset:
    """Add a preset, so that its name works wherever a preset's name is taken.

    Args:
        new: The preset. Its name must be free.

    Returns:
        The preset.

    Raises:
        ValueError: The name is taken by another preset.
    """
    if PRESETS.get(new.name, new) != new:
        raise ValueError(
            f"There is a preset '{new.name}' already; register yours by another name."
        )
    PRESETS[new.name] = new
    return new


def preset(name: str | Preset) -> Preset:
    """Return a preset by name; a `Preset` is returned as it is.

    Raises:
        ValueError: There is no preset of that name.
    """
    if isinstance(name, Preset):
        return name
    if name not in PRESETS:
        raise ValueError(
            f"There is no preset '{name}'. Choose one of: {', '.join(PRESETS)}; "
            "or add your own with keras_frm.register_preset."
        )
    return PRESETS[name]


def quantization_preset(name: str | Preset) -> Preset:
    """Return the preset of the fine-tuning with simulated integers after a preset.

    A tenth of the epochs as in Wu et al.; they start at a hundredth of the learning
    rate and anneal it, here it is a tenth and falls to 0 by the poly rule.

    Args:
        name: The preset the float network was trained with.

    Source: Wu et al., Integer Quantization for Deep Learning Inference, arXiv
    2004.09602, section 5; the learning rate and the average were chosen here.

    Example:
    >>> quantization_preset("cityscapes").epochs
    30
    """
    chosen = preset(name)
    return dataclasses.replace(
        chosen,
        epochs=max(1, chosen.epochs // 10),
        learning_rate=chosen.learning_rate / 10,
        warmup_steps=0,
        weight_ema=0.99,
        source="arXiv 2004.09602, section 5, and choices of this package",
    )


_PAPER = "arXiv 2412.08670, section 3.1"

register_preset(
    Preset(
        name="cityscapes",
        dataset="cityscapes",
        labels=CITYSCAPES,
        crop=(1024, 1024),
        batch_size=16,
        epochs=300,
        source=_PAPER,
    )
)
register_preset(
    Preset(
        name="bdd100k",
        dataset="bdd100k",
        labels=BDD100K,
        crop=(720, 720),
        batch_size=32,
        epochs=300,
        source=_PAPER,
    )
)
register_preset(
    Preset(
        name="camvid",
        dataset="camvid",
        labels=CAMVID,
        crop=(352, 480),
        batch_size=8,
        epochs=200,
        optimizer="adamw",
        learning_rate=1e-3,
        weight_decay=1e-2,
        warmup_steps=100,
        colour_jitter=0.2,
        source="chosen here for training from scratch; not in the paper",
    )
)
register_preset(
    Preset(
        name="synthetic",
        dataset="synthetic",
        labels=CITYSCAPES,
        crop=(128, 256),
        batch_size=4,
        epochs=20,
        optimizer="adamw",
        learning_rate=2e-3,
        weight_decay=1e-2,
        warmup_steps=50,
        scale_range=(0.75, 1.5),
        source="chosen here for the demo on procedural scenes",
    )
)
