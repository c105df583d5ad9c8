"""How examples fill the batches of an epoch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Epochs:
    """The epochs of a training, in batches.

    Args:
        count: Number of examples in the dataset.
        batch_size: Examples in a global batch.
        seed: Decides order and augmentation.
        shuffle: Draw a new order for each epoch.
        drop_remainder: Leave out what does not fill a batch, in each epoch anew.

    Raises:
        ValueError: No epoch of such batches can be made.

    Example:
    >>> Epochs(5, 2, seed=0, shuffle=False, drop_remainder=False).steps_per_epoch
    3
    """

    count: int
    batch_size: int
    seed: int
    shuffle: bool
    drop_remainder: bool

    def __post_init__(self):
        if self.batch_size < 1:
            raise ValueError(f"batch_size is {self.batch_size}; it must be 1 or more.")
        if self.drop_remainder and self.count < self.batch_size:
            raise ValueError(
                f"{self.count} examples do not fill one batch of {self.batch_size}. "
                "Lower batch_size or pass drop_remainder=False."
            )

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in an epoch."""
        return -(-self.epoch_length // self.batch_size)

    @property
    def epoch_length(self) -> int:
        """Number of examples in an epoch, of all workers together."""
        remainder = self.count % self.batch_size if self.drop_remainder else 0
        return self.count - remainder
