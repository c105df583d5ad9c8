"""How a network is trained, as one record."""

from collections.abc import Mapping
from dataclasses import dataclass, field

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
