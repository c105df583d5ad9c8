"""How many training steps were left out because their numbers are not finite.

There are three counts. `Position.global_step` and the steps of `fit` count the batches
that were read, those of left-out steps too. The optimizer's `_iterations` counts the
steps that were taken, which the learning-rate schedule follows and of which
`gradient_accumulation_steps` make an update. `optimizer.iterations` counts the updates.

So a left-out step moves neither schedule nor accumulation: an update is the mean of as
many finite steps as any other, and a training that left out n steps ends n steps before
the schedule does. With loss scaling, steps whose gradients overflow are left out by
Keras in the same way, without being counted here. A checkpoint holds all three counts.
"""

import keras
from keras import ops

from keras_frm.backend import Tensor


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

    def update_state(self, skipped: Tensor) -> None:
        """Count a step.

        Args:
            skipped: Scalar bool, whether it was left out.
        """
        skipped = ops.cast(skipped, "int32")
        self.count.assign(self.count + skipped)
        self.in_a_row.assign((self.in_a_row + 1) * skipped)

    def reset_state(self) -> None:
        self.count.assign(0)

    def result(self) -> Tensor:
        return ops.cast(self.count, "float32")
