"""A learning rate of its own for the backbone."""

from collections.abc import Sequence

import keras

from keras_frm.backend import Tensor


class BackboneRate:
    """Mixin of an optimizer: the learning rate of the backbone times a factor.

    Which weights are the backbone's says `set_backbone`, which `SegmentationModel`
    calls when it is compiled.

    Args:
        backbone_multiplier: The factor; None for the learning rate of the others.
    """

    def __init__(self, *args, backbone_multiplier: float | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        self.backbone_multiplier = backbone_multiplier
        self._backbone_ids: set[int] = set()
        self._of_backbone: set[int] = set()

    def set_backbone(self, variables: Sequence[keras.Variable]) -> None:
        """Say which weights are the backbone's; before the optimizer is built."""
        self._backbone_ids = {id(variable) for variable in variables}

    def build(self, variables):
        super().build(variables)
        self._of_backbone = {
            index
            for index, variable in enumerate(variables)
            if id(variable) in self._backbone_ids
        }
        if self.backbone_multiplier is not None and not self._of_backbone:
            raise ValueError(
                "`backbone_multiplier` is given and no trained weight is a backbone's; "
                "leave it out, or train a SegmentationModel whose network names the "
                "group 'backbone' and does not freeze it."
            )

    def rate_of(self, variable: keras.Variable, learning_rate: Tensor) -> Tensor:
        """Return the learning rate of one weight."""
        factor = self.backbone_multiplier
        if (
            factor is None
            or self._get_variable_index(variable) not in self._of_backbone
        ):
            return learning_rate
        return learning_rate * factor

    def update_step(
        self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor
    ) -> None:
        super().update_step(gradient, variable, self.rate_of(variable, learning_rate))

    def get_config(self):
        return {
            **super().get_config(),
            "backbone_multiplier": self.backbone_multiplier,
        }
