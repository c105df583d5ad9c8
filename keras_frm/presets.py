"""The one table of presets: dataset, classes, sizes, recipe and network by name."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from keras_frm.labels import BDD100K, CAMVID, CITYSCAPES, LabelSet

# Weight of an auxiliary loss that a recipe does not name.
AUXILIARY_WEIGHT = 0.4


@dataclass(frozen=True)
class Recipe:
    """How a network is trained: everything that `compile` and the model's losses need.

    Args:
        optimizer: "sgd" (weight decay inside the momentum) or "adamw".
        learning_rate: Starting learning rate; it falls to 0 by the poly rule.
        weight_decay: Strength of the weight decay, in the optimizer's own form.
        momentum: Momentum of "sgd".
        backbone_multiplier: Factor of the learning rate of the backbone's weights, for
            a backbone that is trained already; None for one rate.
        power: Exponent of the poly rule; 0 for a constant rate.
        warmup_steps: Steps over which the learning rate rises linearly.
        weight_ema: Momentum of a moving average of the weights, which the training
            ends with; None for none.
        loss: "cross_entropy", or "ohem" for that of the hardest pixels.
        ohem_threshold: Probability of the true class below which a pixel is hard.
        ohem_kept: Pixels of a batch that "ohem" keeps at least.
        class_weights: One weight for each class, or None.
        auxiliary_losses: Name of an auxiliary output -> its loss, as `loss`;
            "cross_entropy" for what is not named.
        auxiliary_weights: Name of an auxiliary output -> weight of its loss, 0 to
            leave it out; 0.4 for what is not named, as in DDRNet and PIDNet.
        contrastive_weight: Weight of the pixel-contrastive loss (the paper's lambda).
        temperature: Temperature of the pixel-contrastive loss (tau).

    Example:
    >>> recipe = Recipe(loss="ohem", auxiliary_weights={"stage_3": 0.2})
    >>> recipe.auxiliary_weight("stage_3"), recipe.auxiliary_weight("stage_2")
    (0.2, 0.4)
    """

    optimizer: str = "sgd"
    learning_rate: float = 0.01
    weight_decay: float = 1e-4
    momentum: float = 0.9
    backbone_multiplier: float | None = None
    power: float = 0.9
    warmup_steps: int = 0
    weight_ema: float | None = None
    loss: str = "cross_entropy"
    ohem_threshold: float = 0.9
    ohem_kept: int = 131072
    class_weights: tuple[float, ...] | None = None
    auxiliary_losses: Mapping[str, str] = field(default_factory=dict)
    auxiliary_weights: Mapping[str, float] = field(default_factory=dict)
    contrastive_weight: float = 1.0
    temperature: float = 0.1

    def auxiliary_weight(self, name: str) -> float:
        """Return the weight of an auxiliary output's loss."""
        return self.auxiliary_weights.get(name, AUXILIARY_WEIGHT)


@dataclass(frozen=True)
class Preset:
    """What `build_model` and `recipe` take for a dataset by default.

    Args:
        name: Name of the preset.
        dataset: What reads the data: "cityscapes", "bdd100k", "camvid", "synthetic" or
            "folder".
        labels: Classes and palette.
        crop: Height and width of a training crop, in pixels.
        batch_size: Images in a training batch, over all devices.
        epochs: Passes over the training set.
        scale_range: Smallest and largest factor of the random resize.
        colour_jitter: Strength of the random brightness, contrast and saturation.
        recipe: How the network is trained.
        network: Name of the network, see `register_network`.
        source: Where the numbers come from.

    Example:
    >>> preset("cityscapes").crop, preset("cityscapes").recipe.optimizer
    ((1024, 1024), 'sgd')
    """

    name: str
    dataset: str
    labels: LabelSet
    crop: tuple[int, int]
    batch_size: int
    epochs: int
    scale_range: tuple[float, float] = (0.5, 2.0)
    colour_jitter: float = 0.0
    recipe: Recipe = field(default_factory=Recipe)
    network: str = "frm"
    source: str = ""

    def with_changes(self, **changes) -> "Preset":
        """Return a preset with other values of its own fields and of its recipe's.

        Args:
            **changes: Field of `Preset` or `Recipe` -> value.

        Example:
        >>> preset("camvid").with_changes(epochs=3, momentum=0.5).recipe.momentum
        0.5
        """
        own = {f.name for f in dataclasses.fields(self)}
        of_recipe = {key: changes.pop(key) for key in set(changes) - own}
        recipe = dataclasses.replace(changes.pop("recipe", self.recipe), **of_recipe)
        return dataclasses.replace(self, recipe=recipe, **changes)

    def get_config(self) -> dict:
        """Return the whole preset, classes included, as JSON can hold it."""
        return {**dataclasses.asdict(self), "labels": self.labels.get_config()}

    @classmethod
    def from_config(cls, config: Mapping) -> "Preset":
        """Return the preset that `get_config` described.

        Raises:
            KeyError, TypeError, ValueError: The configuration is not one of a preset.
        """
        recipe = dict(config["recipe"])
        if recipe.get("class_weights") is not None:
            recipe["class_weights"] = tuple(recipe["class_weights"])
        pairs = {key: tuple(config[key]) for key in ("crop", "scale_range")}
        labels = LabelSet.from_config(config["labels"])
        return cls(**{**config, **pairs, "labels": labels, "recipe": Recipe(**recipe)})


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
    return chosen.with_changes(
        epochs=max(1, chosen.epochs // 10),
        learning_rate=chosen.recipe.learning_rate / 10,
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
        colour_jitter=0.2,
        recipe=Recipe(
            optimizer="adamw", learning_rate=1e-3, weight_decay=1e-2, warmup_steps=100
        ),
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
        scale_range=(0.75, 1.5),
        recipe=Recipe(
            optimizer="adamw", learning_rate=2e-3, weight_decay=1e-2, warmup_steps=50
        ),
        source="chosen here for the demo on procedural scenes",
    )
)
