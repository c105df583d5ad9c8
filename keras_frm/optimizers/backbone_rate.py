"""A learning rate of its own for the backbone."""

import keras

from keras_frm.backend import Tensor


class BackboneRate:
    """Mixin of an optimizer: the learning rate of the backbone times a factor.

    A weight is the backbone's if a part of its path is "backbone", the name of the
    layer in networks of `build_network`.

    Args:
        backbone_multiplier: The factor; None for the learning rate of the others.

    Raises:
        ValueError: No weight is the backbone's.
    """

    def __init__(self, *args, backbone_multiplier: float | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        self.backbone_multiplier = backbone_multiplier

    def build(self, variables):
        super().build(variables)
        self._of_backbone = {
            index
            for index, variable in enumerate(variables)
            if "backbone" in variable.path.split("/")
        }
        if self.backbone_multiplier is not None and not self._of_backbone:
            raise ValueError(
                "`backbone_multiplier` is given and no weight has 'backbone' in its "
                "path; leave it out, or name the backbone's layer so."
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
