"""Which examples a batch of arrays has, and how each is augmented."""

from dataclasses import dataclass

import numpy as np

from keras_frm.data.epochs import Epochs
from keras_frm.data.view import DRAWS

# Random numbers of one purpose are none of the other's.
_ORDER, _VIEWS = 0, 1


@dataclass(frozen=True)
class ArrayOrder(Epochs):
    """The order of a training's examples, a function of the seed and the step alone.

    NumPy draws, a few numbers for each image, so that all backends get the same.
    `keras_frm.data.order.Order` draws within `tf.data`, and other numbers.

    Args:
        count: See `Epochs`, and so the others.
        batch_size: Examples in a batch.
        seed: Decides order and augmentation, 0 or more.
        shuffle: Draw a new order for each epoch.
        drop_remainder: Leave out what does not fill a batch, in each epoch anew.

    Raises:
        ValueError: No epoch of such batches can be made.

    Example:
    >>> order = ArrayOrder(5, 2, seed=0, shuffle=False, drop_remainder=False)
    >>> indices, draws = order.batch(2)
    >>> indices, draws.shape
    (array([4], dtype=int32), (1, 9))
    """

    def __post_init__(self):
        super().__post_init__()
        if self.seed < 0:
            raise ValueError(f"seed is {self.seed}; it must be 0 or more.")

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Say what a batch is.

        Args:
            step: The batch's number, from 0 over all epochs.

        Returns:
            (B,) int32, indices in the dataset, and (B, 9) float32 in [0, 1), the draws
            of their views.
        """
        epoch, within = divmod(step, self.steps_per_epoch)
        first = within * self.batch_size
        last = min(first + self.batch_size, self.epoch_length)
        indices = np.arange(self.count)
        if self.shuffle:
            random = np.random.default_rng((self.seed, _ORDER, epoch))
            indices = random.permutation(indices)
        random = np.random.default_rng((self.seed, _VIEWS, step))
        draws = random.random((last - first, DRAWS), np.float32)
        return indices[first:last].astype(np.int32), draws
