"""Stochastic depth."""

import keras
from keras import ops

from keras_frm.backend.replicas import replica
from keras_frm.layers.composite import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_frm")
class DropPath(CompositeLayer):
    """Drop a residual branch for whole images while training.

    The kept images are scaled by 1 / (1 - rate), so the expected value stays.
    Replicas of one batch size drop what one device would of the global batch.

    Args:
        rate: Probability of dropping the branch for an image, in [0, 1).
        seed: Integer seed, or None.

    Input and output: (B, ..., C), floating point.

    Source: Huang et al., Deep Networks with Stochastic Depth, 2016.

    Example:
    >>> x = keras.ops.ones((2, 4, 4, 8))
    >>> tuple(DropPath(0.5)(x, training=False).shape)
    (2, 4, 4, 8)
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"`rate` must be in [0, 1). Received: rate={rate}")
        self.rate = rate
        self.seed = seed
        if rate > 0:
            self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, x, training=False):
        if not training or self.rate == 0:
            return x
        keep = 1.0 - self.rate
        # The seeds of all replicas have the same state, so each draws for all images
        # and takes the part of its own.
        number, replicas = replica()
        shape = (replicas, ops.shape(x)[0]) + (1,) * (len(x.shape) - 1)
        uniform = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        mask = ops.cast(uniform[number] < keep, x.dtype)  # (B, 1, ..., 1)
        return x * (mask / keep)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
