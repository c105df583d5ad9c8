"""SGD with weight decay inside the momentum."""

import keras
from keras import ops

from keras_frm.backend import Tensor
from keras_frm.optimizers.accumulation import AccumulatedGradients
from keras_frm.optimizers.backbone_rate import BackboneRate


@keras.saving.register_keras_serializable(package="keras_frm")
class CoupledSGD(AccumulatedGradients, BackboneRate, keras.optimizers.SGD):
    """SGD whose weight decay is part of the gradient, as in PyTorch.

    Keras' own `weight_decay` shrinks the weights beside the momentum, which at
    momentum 0.9 is about ten times weaker. Weights named to
    `exclude_from_weight_decay` are left out.

    Args:
        learning_rate: A float or a schedule.
        momentum: Momentum.
        l2: Factor of the weight that is added to its gradient.
        name: Name of the optimizer.
        backbone_multiplier: Factor of the backbone's learning rate, None for none.
        **kwargs: See `keras.optimizers.SGD`.

    Example:
    >>> weight = keras.Variable([1.0])
    >>> CoupledSGD(learning_rate=0.1, l2=0.5).apply([keras.ops.zeros(1)], [weight])
    >>> float(weight[0])
    0.949999988079071
    """

    def __init__(
        self,
        learning_rate=0.01,
        momentum: float = 0.0,
        l2: float = 0.0,
        name: str = "coupled_sgd",
        **kwargs,
    ):
        super().__init__(learning_rate, momentum=momentum, name=name, **kwargs)
        self.l2 = l2

    def update_step(
        self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor
    ) -> None:
        if self.l2 and self._use_weight_decay(variable):
            decay = ops.cast(self.l2, variable.dtype)
            gradient = ops.cast(gradient, variable.dtype) + decay * variable
        super().update_step(gradient, variable, learning_rate)

    def get_config(self):
        return {**super().get_config(), "l2": self.l2}
