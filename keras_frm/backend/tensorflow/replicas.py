"""The replicas of `tf.distribute`: sums, numbers and branches that all take as one."""

from collections.abc import Callable, Sequence

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


def replica() -> tuple[int | tf.Tensor, int]:
    """Return this replica's number and how many there are, as `tf.distribute` has it.

    Example:
    >>> replica()
    (0, 1)
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return 0, 1
    return context.replica_id_in_sync_group, context.num_replicas_in_sync


def num_replicas() -> int:
    """Return how many replicas train together, within a replica and across them.

    Example:
    >>> num_replicas()
    1
    """
    return tf.distribute.get_strategy().num_replicas_in_sync


def branch_together(
    predicate: tf.Tensor,
    when_true: tuple[Callable, Sequence],
    when_false: tuple[Callable, Sequence],
) -> None:
    """Run one of two functions on every replica.

    A branch may exchange gradients if all replicas enter it as one: in a branch of its
    own, a replica cannot wait for the others.

    Args:
        predicate: Scalar bool, the same on all replicas.
        when_true: A function that returns nothing, and its one argument, this replica's
            list of tensors.
        when_false: The same for where the predicate does not hold.

    Example:
    >>> total = tf.Variable(1.0)
    >>> def add(values):
    ...     total.assign_add(values[0])
    >>> branch_together(tf.constant(True), (add, [2.0]), (add, [5.0]))
    >>> float(total)
    3.0
    """
    (function, values), (other_function, other_values) = when_true, when_false

    def across_replicas(strategy, predicate, values, other_values):
        tf.cond(
            strategy.experimental_local_results(predicate)[0],
            lambda: strategy.run(function, (values,)),
            lambda: strategy.run(other_function, (other_values,)),
        )

    context = tf.distribute.get_replica_context()
    given = (predicate, list(values), list(other_values))
    context.merge_call(across_replicas, args=given)
