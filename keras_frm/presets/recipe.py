"""How a network is trained, as one record."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Weights of an auxiliary loss that a recipe does not name: of logits of the classes, as
# in DDRNet and PIDNet, and of boundaries, as in PIDNet.
AUXILIARY_WEIGHT = 0.4
BOUNDARY_WEIGHT = 20.0


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
        adjust_bias: Whether a training with class weights ends with taking back what of
            them makes rare classes too frequent, see `adjust_class_bias`.
        auxiliary_losses: Name of an auxiliary output -> its loss, as `loss`, or
            "cross_entropy_of_all_pixels"; "cross_entropy" for what is not named.
            Outputs of one channel have the loss of boundaries.
        auxiliary_weights: Name of an auxiliary output -> weight of its loss, 0 to
            leave it out; for what is not named 0.4, or 20 for boundaries.
        boundary_aware_weight: Weight of `loss` over again, of the pixels alone that the
            network's boundary output finds near a boundary; 0 for none.
        boundary_threshold: Probability of a boundary above which a pixel is near one.
        boundary_kept: Pixels near a boundary that "ohem" keeps at least; None for as
            many as of all pixels.
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
    adjust_bias: bool = False
    auxiliary_losses: Mapping[str, str] = field(default_factory=dict)
    auxiliary_weights: Mapping[str, float] = field(default_factory=dict)
    boundary_aware_weight: float = 0.0
    boundary_threshold: float = 0.8
    boundary_kept: int | None = None
    contrastive_weight: float = 1.0
    temperature: float = 0.1

    def auxiliary_weight(self, name: str, is_boundary: bool = False) -> float:
        """Return the weight of an auxiliary output's loss.

        Args:
            name: Name of the output.
            is_boundary: Whether it finds boundaries, and not classes.
        """
        default = BOUNDARY_WEIGHT if is_boundary else AUXILIARY_WEIGHT
        return self.auxiliary_weights.get(name, default)
