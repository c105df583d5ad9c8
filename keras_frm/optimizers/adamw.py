"""AdamW with a learning rate of its own for the backbone."""

import keras
from keras import ops

from keras_frm.backend import Tensor
from keras_frm.optimizers.accumulation import AccumulatedGradients
from keras_frm.optimizers.backbone_rate import BackboneRate


@keras.saving.register_keras_serializable(package="keras_frm")
class AdamW(AccumulatedGradients, BackboneRate, keras.optimizers.AdamW):
    """Keras' AdamW, whose backbone's steps and decay can be smaller.

    Args:
        learning_rate: A float or a schedule.
        backbone_multiplier: Factor of the backbone's learning rate, None for none.
        **kwargs: See `keras.optimizers.AdamW`.

    Example:
    >>> weight = keras.Variable([1.0])
    >>> AdamW(learning_rate=0.1).apply([keras.ops.ones(1)], [weight])
    >>> round(float(weight[0]), 4)
    0.8996
    """

    def update_step(
        self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor
    ) -> None:
        if self.weight_decay and self._use_weight_decay(variable):
            rate = ops.cast(self.rate_of(variable, learning_rate), variable.dtype)
            decay = ops.cast(self.weight_decay, variable.dtype)
            self.assign_sub(variable, variable * decay * rate)
        super().update_step(gradient, variable, learning_rate)

    def _apply_weight_decay(self, variables):
        # Keras' decay knows one learning rate; `update_step` has each weight's.
        pass
