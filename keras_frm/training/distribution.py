"""The devices of a training: one, those of a machine, or those of several."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping

import keras
import tensorflow as tf

from keras_frm.training.cluster import place_in_cluster

# What collectives raise where a worker is gone, by what it was doing then.
_LOST = (
    tf.errors.UnavailableError,
    tf.errors.DeadlineExceededError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
)


class WorkerLostError(ConnectionError):
    """Another worker of the training is gone."""


@dataclasses.dataclass(frozen=True)
class Distribution:
    """Which devices train, and which part of it this process is.

    Args:
        strategy: TensorFlow's strategy; the default one for a single device.
        worker: Index of this process.
        workers: Number of processes.

    Example:
    >>> one = Distribution(tf.distribute.get_strategy())
    >>> one.is_chief, one.replicas, one.replica_batch(8)
    (True, 1, 8)
    """

    strategy: tf.distribute.Strategy
    worker: int = 0
    workers: int = 1

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the files."""
        return self.worker == 0

    @property
    def shard(self) -> tuple[int, int]:
        """Which part of each global batch this process reads, as (index, count)."""
        return self.worker, self.workers

    @property
    def replicas(self) -> int:
        """Number of devices, over all workers."""
        return self.strategy.num_replicas_in_sync

    def scope(self):
        """Return the context to make and compile a model in."""
        return self.strategy.scope()

    def replica_batch(self, batch_size: int) -> int:
        """Return the images of a global batch for each device.

        Raises:
            ValueError: The batch cannot be divided.
        """
        if batch_size % self.replicas:
            lower = batch_size - batch_size % self.replicas
            raise ValueError(
                f"A batch of {batch_size} cannot be divided among {self.replicas} "
                f"devices; take a batch size of {lower or self.replicas}."
            )
        return batch_size // self.replicas

    def distributed(self, stream: tf.data.Dataset, batch_size: int) -> tf.data.Dataset:
        """Return batches for `fit`: those of a dataset, divided among the devices.

        Args:
            stream: This worker's parts of the global batches, see `shard`.
            batch_size: Images of a global batch.

        Raises:
            ValueError: The batch cannot be divided.
        """
        of_replica = self.replica_batch(batch_size)
        if self.replicas == 1:
            return stream
        # In turns, the devices of a worker take consecutive parts.
        parts = stream.rebatch(of_replica)
        return self.strategy.distribute_datasets_from_function(lambda _: parts)

    def evaluated(
        self,
        batches: tf.data.Dataset | Callable[..., tf.data.Dataset],
        ignore_label: int = 255,
    ) -> tf.data.Dataset:
        """Return batches for `evaluate`: the devices take those of a dataset in turns.

        All devices must have as many: where the last turn is not full, batches without
        a labelled pixel fill it, which change no confusion matrix.

        Args:
            batches: Finite batches of (image, label). A function returns a worker's
                part of them for `shard=(index, count)`, the first one's being the
                longest; of a dataset, every worker reads all.
            ignore_label: Label of pixels that count nowhere.

        Raises:
            ValueError: The number of batches is unknown or none.
        """

        def part(worker):
            if callable(batches):
                return batches(shard=(worker, self.workers))
            return batches.shard(self.workers, worker) if self.workers > 1 else batches

        first = part(0)
        if self.replicas == 1:
            return first
        longest = int(first.cardinality())
        if longest < 1:
            raise ValueError(
                "The number of validation batches is unknown or 0; to validate on "
                f"{self.replicas} devices, make a dataset that knows its cardinality."
            )
        devices = self.replicas // self.workers
        mine = part(self.worker)
        missing = -(-longest // devices) * devices - int(mine.cardinality())
        # Of the first worker's, for this one may have none.
        filling = (
            first.take(1)
            .repeat(missing)
            .map(lambda image, label: (image, tf.zeros_like(label) + ignore_label))
        )
        filled = mine.concatenate(filling)
        return self.strategy.distribute_datasets_from_function(lambda _: filled)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Turn what collectives raise where a worker is gone into one line.

        Raises:
            WorkerLostError: Another worker is gone.
        """
        try:
            yield
        except _LOST as error:
            if self.workers == 1:
                raise
            raise WorkerLostError(
                f"Worker {self.worker} of {self.workers} lost another worker and "
                "stops. Start all of them again to go on from the last checkpoint."
            ) from error


def assign_total(variable: keras.Variable, value, strategy: tf.distribute.Strategy):
    """Set a variable of a metric, so that its replicas together hold a number exactly.

    TensorFlow gives each replica the same part, and of counts the rest is lost.

    Args:
        variable: The variable.
        value: Array of its shape.
        strategy: The strategy that it was made under.
    """

    def assign():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        total = tf.cast(value, variable.dtype)
        alone = variable.aggregation == "sum"
        mine = total * tf.cast(replica == 0, total.dtype) if alone else total
        variable.assign(mine)

    strategy.run(assign)


def distribution(
    devices: str = "one", environment: Mapping[str, str] = os.environ
) -> Distribution:
    """Return the devices to train on. Over several workers, TensorFlow must be unused.

    Args:
        devices: "one", "all", or a number: GPUs of this machine, or logical CPU
            devices where it has no GPU.
        environment: Its `TF_CONFIG` may name several workers, of which each takes as
            many of its GPUs.

    Raises:
        ValueError: There are not so many devices, or `TF_CONFIG` is wrong.

    Example:
    >>> distribution("one", {}).replicas
    1
    """
    count = _count(devices)
    worker, workers = place_in_cluster(environment.get("TF_CONFIG", ""))
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    if kind == "GPU":
        # Otherwise TensorFlow takes the memory of those, too, that it does not use.
        found = tf.config.list_physical_devices("GPU")
        tf.config.set_visible_devices(_first(found, count, kind), "GPU")
    if workers > 1:
        # It looks into os.environ by itself; no operation may have run before.
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        return Distribution(strategy, worker, workers)
    chosen = _first(tf.config.list_logical_devices(kind), count, kind)
    if len(chosen) == 1:
        return Distribution(tf.distribute.get_strategy())
    names = [device.name for device in chosen]
    return Distribution(tf.distribute.MirroredStrategy(names))


def _count(devices):
    """Return the number of devices, None for all."""
    if devices == "all":
        return None
    number = "1" if devices == "one" else devices
    if not number.isdecimal() or int(number) < 1:
        raise ValueError(f"devices must be one, all or a number, not '{devices}'.")
    return int(number)


def _first(found, count, kind):
    """Return the first devices."""
    if count is not None and count > len(found):
        raise ValueError(
            f"There are {len(found)} {kind} devices, not {count}; "
            "take 'all' or a smaller number."
        )
    return found[:count]
