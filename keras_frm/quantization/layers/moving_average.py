"""Fake quantisation whose range follows what it observes while training."""

import keras
import numpy as np
import tensorflow as tf

from keras_frm.quantization.layers.fake_quant import FakeQuant
from keras_frm.quantization.layers.integer_grid import nudged_grid

_RATE = 0.001  # that of TFMOT


@keras.saving.register_keras_serializable(package="keras_frm")
class MovingAverageFakeQuant(FakeQuant):
    """Fake-quantise tensors, with a moving-average observer of their range.

    A training step moves the range a thousandth of the way to the mean of the images'
    smallest and largest numbers (and their means over replicas); inference leaves it.
    One image's extremes, not the batch's: a range must not depend on the batch size.

    Args:
        minimum: Smallest number of the range at the start; widened to 0 if above it.
        maximum: Largest number of the range at the start; widened to 0 if below it.
        members: Number of tensors that share the range, which covers them all.
        freeze_after: Training steps after which the observer stops and the range stays;
            None for never.

    Call arguments:
        x: (B, ..., C), floating point.
        grid: See `FakeQuant`. A step that asks for it first rounds all members to one
            grid, that of before the step.
        member: Which of the tensors `x` is, 0 to `members` - 1.
        only_grid: See `FakeQuant`.

    Output: as `x`. Gradients pass where `x` is inside the range.

    Source: `MovingAverageQuantizer` of the TensorFlow Model Optimization Toolkit, whose
    numbers these are; its own code takes twice the operations.

    Example:
    >>> layer = MovingAverageFakeQuant(-1.0, 1.0)
    >>> _ = layer(keras.ops.array([[-2.0, 3.0]]), training=True)
    >>> [round(float(end), 6) for end in layer.ends()]
    [-1.001, 1.002]
    """

    def __init__(
        self,
        minimum: float,
        maximum: float,
        members: int = 1,
        freeze_after: int | None = None,
        **kwargs,
    ):
        super().__init__(minimum, maximum, **kwargs)
        self.members = members
        self.freeze_after = freeze_after

    def build(self, input_shape):
        low, high = self.initial_range
        self.minima = self._add_end(low, "minima")
        self.maxima = self._add_end(high, "maxima")
        self.steps = self.add_weight(
            shape=(),
            dtype="int32",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
            name="steps",
        )
        self.built = True

    def _add_end(self, value, name):
        return self.add_weight(
            shape=(self.members,),
            initializer=keras.initializers.Constant(value),
            trainable=False,
            aggregation="mean",
            dtype="float32",  # half precision would round the range
            autocast=False,
            name=name,
        )

    def ends(self):
        return tf.reduce_min(self.minima.value), tf.reduce_max(self.maxima.value)

    def grid(self):
        return nudged_grid(*self.ends())

    def call(self, x, grid=None, member=0, only_grid=False, training=False):
        if training and only_grid:
            # The ends before the step; no layer takes a scale while it trains.
            low, high = self.ends()
            return low, high, high - low
        if training and self.trainable:
            self._observe(x, member)
        return super().call(x, grid, only_grid)

    def _observe(self, x, member):
        """Move one tensor's own ends towards its extremes."""
        # A network has hundreds of ranges, and every operation here takes its time to
        # trace and to optimise.
        x = tf.stop_gradient(x)
        axes = list(range(1, len(x.shape)))
        rate = np.zeros(self.members, "float32")
        rate[member] = _RATE
        if self.freeze_after is not None:
            rate *= tf.cast(self.steps.value < self.freeze_after, tf.float32)
            if member == self.members - 1:
                self.steps.value.assign_add(1)
        self._move(self.minima, tf.minimum(tf.reduce_min(x, axes), 0), rate)
        self._move(self.maxima, tf.maximum(tf.reduce_max(x, axes), 0), rate)

    def _move(self, ends, images, rate):
        """Move ends towards the mean of one of each image: (members,), (B,)."""
        mean = tf.reduce_mean(tf.cast(images, tf.float32))
        ends.value.assign_sub((ends.value - mean) * rate)

    def get_config(self):
        return {
            **super().get_config(),
            "members": self.members,
            "freeze_after": self.freeze_after,
        }
