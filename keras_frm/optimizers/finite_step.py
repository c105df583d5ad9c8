"""Training steps that are left out because their numbers are not finite.

There are three counts. `Position.global_step` and the steps of `fit` count the batches
that were read, those of left-out steps too. The optimizer's `_iterations` counts the
steps that were taken, which the learning-rate schedule follows and of which
`gradient_accumulation_steps` make an update. `optimizer.iterations` counts the updates.

So a left-out step moves neither schedule nor accumulation: an update is the mean of as
many finite steps as any other, and a training that left out n steps ends n steps before
the schedule does. With loss scaling, steps whose gradients overflow are left out by
Keras in the same way, without being counted here. A checkpoint holds all three counts.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_frm.backend.tensorflow.replicas import sum_over_replicas


class SkippedSteps(keras.metrics.Metric):
    """The number of steps left out since the epoch began.

    `in_a_row` counts those since the last step that was taken, over epochs.

    Args:
        name: Name of the metric.

    Example:
    >>> metric = SkippedSteps()
    >>> for skipped in (True, False, True):
    ...     metric.update_state(skipped)
    >>> int(metric.result()), int(metric.in_a_row)
    (2, 1)
    """

    def __init__(self, name: str = "skipped_steps"):
        super().__init__(name=name)
        self._direction = "down"
        self.count, self.in_a_row = (
            self._add_counter(n) for n in ("count", "in_a_row")
        )

    def _add_counter(self, name):
        """Return a new counter; all replicas count the same."""
        return self.add_variable(
            shape=(),
            initializer="zeros",
            dtype="int32",
            aggregation="only_first_replica",
            name=name,
        )

    def update_state(self, skipped):
        """Count a step.

        Args:
            skipped: Scalar bool, whether it was left out.
        """
        skipped = tf.cast(skipped, tf.int32)
        self.count.assign(self.count + skipped)
        self.in_a_row.assign((self.in_a_row + 1) * skipped)

    def reset_state(self):
        self.count.assign(0)

    def result(self):
        return tf.cast(tf.convert_to_tensor(self.count), tf.float32)


def checked_gradients(
    optimizer: keras.Optimizer, loss: tf.Tensor, gradients: Sequence
) -> tuple[tf.Tensor, list]:
    """Tell whether a step may be taken: where it is finite on every replica.

    With loss scaling only the loss decides: overflowing gradients are its business.

    Args:
        optimizer: The model's optimizer.
        loss: Scalar, this replica's loss.
        gradients: This replica's gradients, None where there are none.

    Returns:
        A scalar bool, the same on all replicas, and the gradients to apply.
    """
    known = [gradient for gradient in gradients if gradient is not None]
    finite = tf.math.is_finite
    good_loss, scaled = finite(loss), hasattr(optimizer, "inner_optimizer")
    if scaled and tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return good_loss, list(gradients)
    # A sum is finite if all its terms are.
    sums = tf.stack([tf.reduce_sum(gradient) for gradient in known])
    good = tf.stack([good_loss, tf.reduce_all(finite(sums))])
    bad_replicas = sum_over_replicas(tf.cast(~good, tf.float32))  # (2,)
    if not scaled:
        return tf.reduce_all(bad_replicas == 0), list(gradients)
    # LossScaleOptimizer looks at the first replica's gradients on each worker only;
    # all must halve the scale together, or their branches part for good.
    first = tf.where(bad_replicas[1] > 0, float("nan"), known[0])
    gradients = [first if g is known[0] else g for g in gradients]
    return bad_replicas[0] == 0, gradients


def apply_or_restore(
    optimizer: keras.Optimizer,
    taken: tf.Tensor,
    gradients: Sequence,
    weights: Sequence[keras.Variable],
    before: Sequence[tuple[keras.Variable, tf.Tensor]],
) -> None:
    """Apply gradients, or leave optimizer and weights and put other variables back.

    Args:
        optimizer: The model's optimizer, which is built.
        taken: Scalar bool, the same on all replicas.
        gradients: One for each weight, or None.
        weights: The trainable weights.
        before: Variables that the forward pass has moved, and what they held.
    """
    moved = [variable for variable, _ in before]

    def apply(gradients):
        optimizer.apply(gradients, weights)

    def restore(values):
        for variable, value in zip(moved, values, strict=True):
            variable.assign(value)

    def together(strategy, taken, gradients, values):
        # A branch may exchange gradients if all replicas enter it as one: in a branch
        # of its own, a replica cannot wait for the others.
        tf.cond(
            strategy.experimental_local_results(taken)[0],
            lambda: strategy.run(apply, (gradients,)),
            lambda: strategy.run(restore, (values,)),
        )

    values = [value for _, value in before]
    context = tf.distribute.get_replica_context()
    context.merge_call(together, args=(taken, list(gradients), values))
