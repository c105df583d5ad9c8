"""The steps of a training: what is not finite, or no image, changes nothing."""

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_frm.backend.tensorflow.finite_step import (
    apply_or_restore,
    checked_gradients,
)
from keras_frm.backend.tensorflow.replicas import sum_over_replicas
from keras_frm.models.class_weights import class_weight_table, weighted_by_class
from keras_frm.models.image_levels import ImageLevels
from keras_frm.models.replicated_model import ReplicatedModel
from keras_frm.optimizers.skipped_steps import SkippedSteps


class CheckedStepModel(ReplicatedModel):
    """A Keras model whose loss is a sum of terms, and whose bad steps change nothing.

    A step whose loss or gradients are not finite changes nothing but the count of
    `skipped_steps`, which is reset each epoch, and `skipped_in_a_row`. Images that
    are no RGB in [0, 255] end the training after the first step, see `ImageLevels`.

    A subclass gives `trained_layers`, `num_classes`, `training_outputs` and
    `loss_terms`, and calls `add_trackers` with the names of its terms.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.image_levels = ImageLevels()
        self.class_weights = None

    def add_trackers(self, names: list[str]) -> None:
        """Make the metrics of the losses of these names, first that of `loss`."""
        self.loss_trackers = [keras.metrics.Mean(name=name) for name in names]
        self.skipped_tracker = SkippedSteps()

    def training_outputs(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return name -> output of the forward pass of a training, with "logits"."""
        raise NotImplementedError

    def loss_terms(self, images, labels, outputs, sample_weight) -> dict[str, tuple]:
        """Return name -> (weight, loss), first the compiled loss, of weight 1."""
        raise NotImplementedError

    @property
    def skipped_in_a_row(self) -> int:
        """Steps left out since the last one that was taken."""
        return int(tf.convert_to_tensor(self.skipped_tracker.in_a_row))

    def weigh_classes(self, class_weight: Mapping[int, float] | None) -> None:
        """Weigh the pixels of the training to come by their labels.

        Args:
            class_weight: Class -> weight, see `class_weight_table`; None for none.
        """
        table = None
        if class_weight is not None:
            table = class_weight_table(class_weight, self.num_classes)
        if table != self.class_weights:
            self.class_weights = table
            self.train_function = None  # the weights are constants of its graph

    def make_train_function(self, force=False):
        before = self.train_function
        super().make_train_function(force)
        if self.train_function is not before:
            self.train_function = self.image_levels.checked(self.train_function)

    def train_step(self, data):
        images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if self.class_weights is not None:
            sample_weight = weighted_by_class(labels, self.class_weights, sample_weight)
        # Moving averages follow the forward pass, before the step is known to be good.
        moved = [v for part in self.trained_layers for v in part.non_trainable_weights]
        before = [(variable, tf.identity(variable.value)) for variable in moved]
        with tf.GradientTape() as tape:
            losses, logits = self.training_losses(images, labels, sample_weight)
            scaled_loss = self.optimizer.scale_loss(losses["loss"])
        weights = self.trainable_weights
        gradients = tape.gradient(scaled_loss, weights)
        loss = self.image_levels.loss_of(images, losses["loss"])
        taken, gradients = checked_gradients(self.optimizer, loss, gradients)
        apply_or_restore(self.optimizer, taken, gradients, weights, before)

        self.skipped_tracker.update_state(~taken)
        self._track(images, losses, taken)
        logs = self.compute_metrics(images, labels, logits, sample_weight)
        return self.averaged(logs)

    def training_losses(
        self, images, labels, sample_weight=None
    ) -> tuple[dict, tf.Tensor]:
        """Return the losses of a training step of this replica.

        Args:
            images: (B, H, W, 3), RGB in [0, 255].
            labels: (B, H, W) or (B, H, W, 1) integer labels.
            sample_weight: See `CrossEntropy`.

        Returns:
            Name in the logs -> scalar, where "loss" is the weighted sum of the others;
            and the logits (B, H, W, C).
        """
        outputs = self.training_outputs(images)
        terms = self.loss_terms(images, labels, outputs, sample_weight)
        (_, loss), *others = terms.values()
        for weight, term in others:
            loss = loss + weight * term
        losses = {name: term for name, (_, term) in terms.items()}
        return {"loss": loss, **losses}, outputs["logits"]

    def test_step(self, data):
        images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        logits = self(images, training=False)
        loss = self.compute_loss(images, labels, logits, sample_weight, training=False)
        main, *of_training = self.loss_trackers
        self._track(images, {"loss": loss, main.name: loss})
        logs = self.compute_metrics(images, labels, logits, sample_weight)
        for metric in (*of_training, self.skipped_tracker):
            logs.pop(metric.name, None)
        return self.averaged(logs)

    def _track(self, images, losses, taken=True):
        """Feed the trackers of losses with the batch, unless its step was left out."""
        # The replicas' mean, so that uneven last batches weigh by their global size.
        size = ops.cast(ops.shape(images)[0], "float32")
        size = sum_over_replicas(size) / self.replicas
        for metric in self.metrics:
            if metric.name in losses:
                loss = losses[metric.name] * self.replicas
                # Not a number times a weight of 0 would still be none.
                loss, weight = ops.where(taken, loss, 0.0), ops.where(taken, size, 0.0)
                metric.update_state(loss, weight)

    def save_own_variables(self, store):
        store["skipped_in_a_row"] = np.int32(self.skipped_in_a_row)

    def load_own_variables(self, store):
        if "skipped_in_a_row" in store.keys():  # noqa: SIM118 (no mapping)
            self.skipped_tracker.in_a_row.assign(store["skipped_in_a_row"])
