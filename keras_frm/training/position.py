"""How far a training is."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Position:
    """How far a training is, and what it needs to know of its past.

    Args:
        epoch: Epochs that are done, validation and all.
        step: Steps of the next epoch that are done; as many as it has where only its
            validation is missing.
        steps_per_epoch: Steps of an epoch.
        best: Best value of what is monitored, None before the first.
        best_epoch: Epoch of the best value, counted from 0.
        log: Text of `log.csv`.
        finished: Nothing is left to do.

    Example:
    >>> Position(2, 5, steps_per_epoch=10).global_step
    25
    """

    epoch: int = 0
    step: int = 0
    steps_per_epoch: int = 0
    best: float | None = None
    best_epoch: int | None = None
    log: str = ""
    finished: bool = False

    @property
    def global_step(self) -> int:
        """Steps done since the training began."""
        return self.epoch * self.steps_per_epoch + self.step

    @property
    def validation_is_missing(self) -> bool:
        """Whether the steps of the epoch are done and its validation is not."""
        return 0 < self.steps_per_epoch == self.step

    def first_step_in(self, epoch: int) -> int:
        """Return the global step at which a training from here begins an epoch."""
        return max(epoch * self.steps_per_epoch, self.global_step)

    @classmethod
    def from_json(cls, content: dict) -> "Position":
        """Return what `dataclasses.asdict` turned into JSON.

        Raises:
            ValueError: It is something else.
            TypeError: So is this.
        """
        position = cls(**content)
        counts = (position.epoch, position.step, position.steps_per_epoch)
        if not all(isinstance(count, int) for count in counts) or min(counts) < 0:
            raise ValueError(f"its position is {counts}")
        if position.step > position.steps_per_epoch:
            raise ValueError(f"it did {position.step} of {counts[2]} steps")
        if not isinstance(position.log, str):
            raise TypeError("its log is no text")
        return position
