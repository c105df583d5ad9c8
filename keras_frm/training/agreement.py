"""What the workers of a training decide together."""

import signal

import tensorflow as tf

from keras_frm.training.distribution import Distribution


class Agreement:
    """Tell every worker what any of them wants, where all of them ask at one step.

    To read some variables all workers must take part, so none can save by itself.

    Args:
        spread: The devices; for one worker its own wishes are the answer.

    Example:
    >>> Agreement(Distribution(tf.distribute.get_strategy())).any(True, False)
    [True, False]
    """

    def __init__(self, spread: Distribution):
        self.spread = spread
        self._summed = tf.function(self._sum_over_replicas, autograph=False)

    def any(self, *wishes: bool) -> list[bool]:
        """Return what at least one worker wants. All must call it as often."""
        if self.spread.workers == 1:
            return list(wishes)
        summed = self._summed(tf.constant(wishes, tf.float32))
        copies = self.spread.strategy.experimental_local_results(summed)
        return [bool(count) for count in copies[0].numpy() > 0]

    def stop(self, received: int | None) -> int | None:
        """Return the signal all are to stop for, by the one that this worker has."""
        if self.spread.workers == 1:
            return received
        numbers = (signal.SIGTERM, signal.SIGINT)
        wanted = self.any(*(received == number for number in numbers))
        return next((n for n, told in zip(numbers, wanted, strict=True) if told), None)

    def _sum_over_replicas(self, values):
        """Add the values of all replicas, of which a worker may have several."""

        def add(mine):
            context = tf.distribute.get_replica_context()
            here = tf.identity(mine)  # an argument has no device yet
            return context.all_reduce(tf.distribute.ReduceOp.SUM, here)

        return self.spread.strategy.run(add, (values,))
