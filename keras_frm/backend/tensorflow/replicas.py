"""Sums over the replicas of a distributed training."""

import tensorflow as tf


def sum_over_replicas(value: tf.Tensor) -> tf.Tensor:
    """Sum a tensor over all replicas; outside of `tf.distribute` it stays as it is.

    Args:
        value: This replica's tensor, of one shape on all of them.

    Returns:
        The sum, the same on all replicas.

    Example:
    >>> float(sum_over_replicas(tf.constant(2.0)))
    2.0
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return value
    return context.all_reduce(tf.distribute.ReduceOp.SUM, value)
