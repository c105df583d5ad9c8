"""Training steps that change nothing where their numbers are not finite."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_frm.backend.tensorflow.replicas import (
    branch_together,
    num_replicas,
    sum_over_replicas,
)


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
    if scaled and num_replicas() == 1:
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

    values = [value for _, value in before]
    branch_together(taken, (apply, gradients), (restore, values))
