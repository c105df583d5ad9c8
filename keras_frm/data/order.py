"""Which example comes when: a function of the seed and the example's number alone."""

import itertools
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from keras_frm.data.epochs import Epochs


@dataclass(frozen=True)
class Order(Epochs):
    """The order of a training's examples, numbered from 0 over all epochs.

    What example n is depends on the seed and n only, so that a training can go on at
    any step, and any worker knows its part, without reading what came before.

    Args:
        count: Number of examples in the dataset.
        batch_size: Examples in a global batch.
        seed: Decides order and augmentation.
        shuffle: Draw a new order for each epoch.
        drop_remainder: Leave out what does not fill a batch, in each epoch anew.
        shard: This worker's number, from 0, and the number of workers. It gets its
            equal part of the rows of every global batch; of a last, smaller one the
            last workers get fewer or none.

    Raises:
        ValueError: No epoch of such batches can be made.

    Example:
    >>> order = Order(5, batch_size=2, seed=0, shuffle=False, drop_remainder=True)
    >>> order.steps_per_epoch, order.batch(1), order.batch(2)
    (2, [2, 3], [0, 1])
    """

    shard: tuple[int, int] = (0, 1)

    def __post_init__(self):
        super().__post_init__()
        worker, workers = self.shard
        if not 0 <= worker < workers:
            raise ValueError(
                f"shard is ({worker}, {workers}); it must be (worker, workers) with "
                "workers counted from 0."
            )
        if self.batch_size % workers:
            raise ValueError(
                f"batch_size {self.batch_size} is that of all {workers} workers "
                f"together; it must be divisible by {workers}."
            )

    @property
    def worker_batch_size(self) -> int:
        """Examples of one batch that this worker gets."""
        return self.batch_size // self.shard[1]

    @property
    def worker_epoch_length(self) -> int:
        """Number of examples in an epoch that this worker gets."""
        whole, rest = divmod(self.epoch_length, self.batch_size)
        rest -= self.shard[0] * self.worker_batch_size
        of_last = min(max(rest, 0), self.worker_batch_size)
        return whole * self.worker_batch_size + of_last

    def draw(self, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Say what the example of a number is.

        Args:
            number: () int64, the example's number.

        Returns:
            () int64, its index in the dataset, and (2,) int64, the seed of its
            augmentation.
        """
        epoch, index = number // self.epoch_length, number % self.epoch_length
        if self.shuffle:
            # index_shuffle keeps only the lowest bits of its seed: epoch numbers as
            # they are would bring the same orders again after 256 epochs.
            seed = tf.random.stateless_uniform(
                (2,), (self.seed, epoch), None, None, tf.int64
            )
            last = tf.constant(self.count - 1, tf.int64)
            index = tf.random.experimental.index_shuffle(index, seed, last)
        return index, tf.stack([tf.constant(self.seed, tf.int64), number])

    def batch(self, step: int) -> list[int]:
        """List the indices of a global batch, where all batches are whole.

        Args:
            step: The batch's number, from 0 over all epochs.
        """
        first = step * self.batch_size
        numbers = tf.range(first, first + self.batch_size, dtype=tf.int64)
        with tf.device("CPU"):
            return [int(self.draw(number)[0]) for number in numbers]

    def numbers(self, first_step: int | None) -> tf.data.Dataset:
        """Count this worker's examples.

        Args:
            first_step: Step to begin an endless count at; None for one epoch, the
                next one in each iteration over the dataset.

        Returns:
            () int64 numbers of examples.

        Raises:
            ValueError: There is no such step.
        """
        if first_step is None:
            own = _epoch_by_epoch(self.worker_epoch_length)
        elif first_step < 0:
            raise ValueError(f"first_step is {first_step}; steps count from 0.")
        elif not self.drop_remainder:
            raise ValueError(
                "drop_remainder=False leaves a last, smaller batch, and an endless "
                "stream has none: with first_step pass drop_remainder=True."
            )
        else:
            own = tf.data.Dataset.counter(first_step * self.worker_batch_size)
        return own.map(self._among_all_workers)

    def _among_all_workers(self, own: tf.Tensor) -> tf.Tensor:
        """Turn a number among this worker's examples into one among all."""
        length = max(self.worker_epoch_length, 1)
        epoch, own = own // length, own % length
        step, row = own // self.worker_batch_size, own % self.worker_batch_size
        first_row = self.shard[0] * self.worker_batch_size
        return epoch * self.epoch_length + step * self.batch_size + first_row + row


def _epoch_by_epoch(length: int) -> tf.data.Dataset:
    """Count the examples of one epoch, the next one in each iteration."""
    epochs = itertools.count()

    def next_epoch(_) -> tf.Tensor:
        return tf.numpy_function(lambda: np.int64(next(epochs)), [], tf.int64)

    def examples_of(epoch: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.range(epoch * length, (epoch + 1) * length)

    dataset = tf.data.Dataset.range(1).map(next_epoch).flat_map(examples_of)
    return dataset.apply(tf.data.experimental.assert_cardinality(length))
