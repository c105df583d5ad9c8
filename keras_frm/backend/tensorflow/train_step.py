"""A training step on TensorFlow: a gradient tape, and state in variables."""

from collections.abc import Callable

import keras
import tensorflow as tf

from keras_frm.backend.private_hooks import is_on_several_workers
from keras_frm.backend.tensorflow.finite_step import (
    apply_or_restore,
    checked_gradients,
)
from keras_frm.backend.tensorflow.image_levels import ImageLevels


class TrainStep:
    """Mixin of a `keras.Model`: its steps on TensorFlow, under `tf.distribute` too.

    The model gives `unpacked`, `training_losses`, `tracked`, `evaluated` and
    `moved_weights`, see `CheckedStepModel`.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.image_levels = ImageLevels()

    def watched(self, function: Callable) -> Callable:
        """Return a training function that raises after steps of wrong images."""
        return self.image_levels.checked(function)

    def train_step(self, data):
        images, labels, sample_weight = self.unpacked(data)
        # Moving averages follow the forward pass, before the step is known to be good.
        before = [(v, tf.identity(v.value)) for v in self.moved_weights()]
        with tf.GradientTape() as tape:
            losses, logits = self.training_losses(images, labels, sample_weight)
            scaled_loss = self.optimizer.scale_loss(losses["loss"])
        weights = self.trainable_weights
        gradients = tape.gradient(scaled_loss, weights)
        loss = self.image_levels.loss_of(images, losses["loss"])
        taken, gradients = checked_gradients(self.optimizer, loss, gradients)
        apply_or_restore(self.optimizer, taken, gradients, weights, before)
        logs = self.tracked(images, labels, sample_weight, losses, logits, taken)
        return self._averaged(logs)

    def test_step(self, data):
        return self._averaged(self.evaluated(data))

    def _averaged(self, logs):
        """Return a step's logs in the shape that Keras averages over replicas."""
        if not is_on_several_workers(self.distribute_strategy):
            return logs
        # Over workers Keras 3.15 takes the mean along the first axis, too.
        return {name: keras.ops.expand_dims(x, 0) for name, x in logs.items()}
