"""The poly learning-rate rule."""

import warnings

import keras
from keras import ops

from keras_frm.backend.private_hooks import schedule_of, steps_taken
from keras_frm.optimizers.loss_scaling import without_loss_scaling


@keras.saving.register_keras_serializable(package="keras_frm")
class PolyDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate that falls as (1 - step / total)^power after a linear warm-up.

    Without `total_steps` the learning rate stays constant until `plan` is called, as
    `SegmentationModel.fit` does once it knows how many steps it will take.

    Args:
        initial_learning_rate: Learning rate at step 0.
        total_steps: Steps until the learning rate is 0, or None.
        power: Exponent.
        warmup_steps: Steps over which the rule is multiplied by a rising factor.
        start_step: Step at which the rule begins.

    Source: Liu et al., ParseNet, 2015, section 3.

    Example:
    >>> schedule = PolyDecay(0.01, total_steps=100, power=1.0)
    >>> round(float(schedule(25)), 4)
    0.0075
    """

    def __init__(
        self,
        initial_learning_rate: float,
        total_steps: int | None = None,
        power: float = 0.9,
        warmup_steps: int = 0,
        start_step: int = 0,
    ):
        super().__init__()
        self.initial_learning_rate = initial_learning_rate
        self.power = power
        self.warmup_steps = warmup_steps
        # Variables, so that a compiled training step follows a new plan. 0 total
        # steps stand for "not planned".
        self._total = keras.Variable(total_steps or 0, dtype="float32", trainable=False)
        self._start = keras.Variable(start_step, dtype="float32", trainable=False)

    @property
    def variables(self) -> list[keras.Variable]:
        """What `plan` sets: for steps that are functions of all they read."""
        return [self._total, self._start]

    @property
    def total_steps(self) -> int | None:
        """Steps until the learning rate is 0, None where not planned."""
        return int(ops.convert_to_numpy(self._total)) or None

    @property
    def start_step(self) -> int:
        """Step at which the rule begins."""
        return int(ops.convert_to_numpy(self._start))

    def plan(self, total_steps: int, start_step: int = 0) -> None:
        """Set the length of the rule, 0 for none, and the step at which it begins."""
        self._total.assign(total_steps)
        self._start.assign(start_step)

    def __call__(self, step):
        step = ops.cast(step, "float32") - self._start
        progress = ops.where(self._total > 0, step / ops.maximum(self._total, 1.0), 0.0)
        factor = ops.power(1.0 - ops.clip(progress, 0.0, 1.0), self.power)
        if self.warmup_steps:
            factor = factor * ops.clip((step + 1) / self.warmup_steps, 0.0, 1.0)
        return self.initial_learning_rate * factor

    def get_config(self):
        return {
            "initial_learning_rate": self.initial_learning_rate,
            "total_steps": self.total_steps,
            "power": self.power,
            "warmup_steps": self.warmup_steps,
            "start_step": self.start_step,
        }


def unplanned_schedule(optimizer: keras.Optimizer | None) -> PolyDecay | None:
    """Return an optimizer's `PolyDecay` that waits for a plan, None without one.

    Args:
        optimizer: A model's optimizer, or None.

    Example:
    >>> schedule = PolyDecay(0.1)
    >>> unplanned_schedule(keras.optimizers.SGD(schedule)) is schedule
    True
    """
    schedule = schedule_of(without_loss_scaling(optimizer))
    is_unplanned = isinstance(schedule, PolyDecay) and schedule.total_steps is None
    return schedule if is_unplanned else None


class PlanLearningRate(keras.callbacks.Callback):
    """Spread an unplanned `PolyDecay` over the steps of a `fit`, for that `fit` only.

    Args:
        schedule: The schedule of the model's optimizer.
        initial_epoch: Epochs that earlier calls have done of the same plan.
    """

    def __init__(self, schedule: PolyDecay, initial_epoch: int = 0):
        super().__init__()
        self.schedule = schedule
        self.initial_epoch = initial_epoch

    def on_train_begin(self, logs=None):
        steps = self.params.get("steps")
        if not steps:
            warnings.warn(
                "The number of steps in an epoch is unknown, so the learning rate "
                "stays constant; give `steps_per_epoch` or a PolyDecay of your own.",
                stacklevel=2,
            )
            return
        optimizer = without_loss_scaling(self.model.optimizer)
        # The schedule counts steps as `_iterations` does, `iterations` counts updates.
        taken = steps_taken(optimizer)
        done = taken - self.initial_epoch * steps
        self.schedule.plan(self.params["epochs"] * steps, start_step=done)

    def on_train_end(self, logs=None):
        # Else the next `fit`, or that of the model saved now, would run at rate 0.
        self.schedule.plan(0)
