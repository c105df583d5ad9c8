"""What a preset is, and the presets by name."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from keras_frm.labels import LabelSet
from keras_frm.presets.recipe import Recipe


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

    def with_labels(self, labels: LabelSet) -> "Preset":
        """Return a preset of other classes; weights of its own classes are left out.

        Args:
            labels: The classes.

        Example:
        >>> small = preset("camvid_small")
        >>> small.with_labels(preset("bdd100k").labels).recipe.class_weights is None
        True
        """
        if labels.classes == self.labels.classes:
            return dataclasses.replace(self, labels=labels)
        return self.with_changes(labels=labels, class_weights=None)

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
    rate and anneal it, here it is a tenth and falls to 0 by the poly rule. Where the
    training ended with adjusting the classifier's bias, classes weigh the same now.

    Args:
        name: The preset the float network was trained with.

    Source: Wu et al., Integer Quantization for Deep Learning Inference, arXiv
    2004.09602, section 5; the learning rate and the average were chosen here.

    Example:
    >>> quantization_preset("cityscapes").epochs
    30
    """
    chosen = preset(name)
    if chosen.recipe.adjust_bias:
        chosen = chosen.with_changes(class_weights=None)
    return chosen.with_changes(
        epochs=max(1, chosen.epochs // 10),
        learning_rate=chosen.recipe.learning_rate / 10,
        warmup_steps=0,
        weight_ema=0.99,
        source="arXiv 2004.09602, section 5, and choices of this package",
    )
