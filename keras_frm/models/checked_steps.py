"""The steps of a training: what is not finite, or no image, changes nothing."""

from collections.abc import Mapping

import keras
import numpy as np
from keras import ops

from keras_frm.backend import Tensor
from keras_frm.backend.private_hooks import schedule_of
from keras_frm.backend.replicas import sum_over_replicas
from keras_frm.backend.train_step import train_step_mixin
from keras_frm.models.class_weights import class_weight_table, weighted_by_class
from keras_frm.models.replicated_model import ReplicatedModel
from keras_frm.optimizers.loss_scaling import without_loss_scaling
from keras_frm.optimizers.poly_decay import PolyDecay
from keras_frm.optimizers.skipped_steps import SkippedSteps


class CheckedStepModel(train_step_mixin(), ReplicatedModel):
    """A Keras model whose loss is a sum of terms, and whose bad steps change nothing.

    A step whose loss or gradients are not finite changes nothing but the count of
    `skipped_steps`, which is reset each epoch, and `skipped_in_a_row`. Images that
    are no RGB in [0, 255] end the training with the first step, see `ImageLevels`.

    What a step computes and shows is here; what a backend makes of it is in its
    `TrainStep`. A subclass gives `trained_layers`, `num_classes`, `training_outputs`
    and `loss_terms`, and calls `add_trackers` with the names of its terms.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.class_weights = None

    def add_trackers(self, names: list[str]) -> None:
        """Make the metrics of the losses of these names, first that of `loss`."""
        self.loss_trackers = [keras.metrics.Mean(name=name) for name in names]
        self.skipped_tracker = SkippedSteps()

    def training_outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Return name -> output of the forward pass of a training, with "logits"."""
        raise NotImplementedError

    def loss_terms(self, images, labels, outputs, sample_weight) -> dict[str, tuple]:
        """Return name -> (weight, loss), first the compiled loss, of weight 1."""
        raise NotImplementedError

    @property
    def skipped_in_a_row(self) -> int:
        """Steps left out since the last one that was taken."""
        return int(ops.convert_to_tensor(self.skipped_tracker.in_a_row))

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
            self.train_function = self.watched(self.train_function)

    @property
    def plain_optimizer(self) -> keras.Optimizer | None:
        """The optimizer, without the loss scaling around it."""
        return without_loss_scaling(getattr(self, "optimizer", None))

    def moved_weights(self) -> list[keras.Variable]:
        """Return what the forward pass moves and a bad step must not."""
        return [v for part in self.trained_layers for v in part.non_trainable_weights]

    def variables_beside(self) -> list[keras.Variable]:
        """Return what a step reads or moves and Keras does not know of."""
        schedule = schedule_of(self.plain_optimizer)
        return schedule.variables if isinstance(schedule, PolyDecay) else []

    def unpacked(self, data) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return images, labels and the weights of a batch, those of classes too."""
        images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if self.class_weights is not None:
            sample_weight = weighted_by_class(labels, self.class_weights, sample_weight)
        return images, labels, sample_weight

    def training_losses(
        self, images, labels, sample_weight=None
    ) -> tuple[dict, Tensor]:
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

    def tracked(
        self, images, labels, sample_weight, losses: dict, logits: Tensor, taken: Tensor
    ) -> dict[str, Tensor]:
        """Count a step in all metrics, and return its logs.

        Args:
            images: (B, H, W, 3).
            labels: (B, H, W) or (B, H, W, 1) integer labels.
            sample_weight: See `CrossEntropy`.
            losses: See `training_losses`.
            logits: (B, H, W, C).
            taken: Scalar bool, whether the step was taken.
        """
        self.skipped_tracker.update_state(~taken)
        self._track(images, losses, taken)
        return self.compute_metrics(images, labels, logits, sample_weight)

    def evaluated(self, data) -> dict[str, Tensor]:
        """Count a batch of an evaluation in all metrics, and return its logs."""
        images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        logits = self(images, training=False)
        loss = self.compute_loss(images, labels, logits, sample_weight, training=False)
        main, *of_training = self.loss_trackers
        self._track(images, {"loss": loss, main.name: loss})
        logs = self.compute_metrics(images, labels, logits, sample_weight)
        for metric in (*of_training, self.skipped_tracker):
            logs.pop(metric.name, None)
        return logs

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
