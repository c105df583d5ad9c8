"""How long a training step takes, part by part, and what memory it needs."""

import math
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_frm.benchmark.machine import machine_name, package_version
from keras_frm.benchmark.peak_memory import own_peak
from keras_frm.benchmark.random_batch import random_batch
from keras_frm.benchmark.timing import interleaved_times
from keras_frm.models.segmentation_model import SegmentationModel


class TrainingStepTimes(NamedTuple):
    """What was measured of one training.

    Args:
        network: What is trained, as the caller names it.
        precision: Dtype policy.
        batch_size: Images in a batch.
        crop: Height and width of an image.
        step: Median milliseconds of a step on a batch that is ready.
        input: Milliseconds the pipeline takes for a batch while nothing else runs; in
            a training it works beside the step. NaN where there is no pipeline.
        forward: Median milliseconds of the outputs and losses.
        backward: The same of the gradients.
        update: The same of the rest: optimizer, metrics, the check of the gradients.
        memory: Peak resident bytes of this process, or of the GPU if there is one.
        first_step: Seconds of the first step, which traces and compiles.
        runs: Timed rounds.
        threads: Threads inside an operation, such as "2 threads".
        machine: What it was measured on.
    """

    network: str
    precision: str
    batch_size: int
    crop: tuple[int, int]
    step: float
    input: float
    forward: float
    backward: float
    update: float
    memory: float
    first_step: float
    runs: int
    threads: str
    machine: str

    @property
    def images_per_second(self) -> float:
        """Images trained on in a second, while batches are always ready."""
        return 1e3 * self.batch_size / self.step


def time_training_step(
    model: SegmentationModel,
    crop: tuple[int, int],
    batch_size: int,
    *,
    batches: Iterable | None = None,
    network: str = "network",
    runs: int = 10,
    threads: str = "",
    on_round: Callable[[], object] = lambda: None,
) -> TrainingStepTimes:
    """Time training steps of a compiled model, which changes it.

    The whole step, its forward pass, and that with the gradients run in turn; the
    parts are differences inside a round. XLA compiles all of them or none, as the model
    was compiled.

    Args:
        model: A compiled model.
        crop: Height and width of random images where there are no batches.
        batch_size: Number of them.
        batches: Endless batches of images and labels, None for random ones.
        network: Its name in the table.
        runs: Timed rounds.
        threads: What to say about the threads.
        on_round: Called after each round, two for warming up included.

    Raises:
        ValueError: `runs` is not positive.
    """
    if runs < 1:
        raise ValueError(f"The number of runs must be at least 1, not {runs}.")
    if batches is None:
        batch = random_batch(batch_size, crop, model.num_classes)
        input_time = math.nan
    else:
        batch, input_time = _timed_input(batches, runs)
    images, labels = (tf.convert_to_tensor(x) for x in batch)
    parts = [_forward(model), _forward_and_backward(model)]
    start = time.perf_counter()
    model.train_on_batch(images, labels)
    first_step = time.perf_counter() - start
    model.train_on_batch(images, labels)
    memory = _peak()  # before the parts are traced, too
    times = interleaved_times(
        [
            lambda: model.train_on_batch(images, labels),
            *(lambda part=part: part(images, labels)[0].numpy() for part in parts),
        ],
        runs,
        on_round=on_round,
    )  # (runs, 3)
    step, forward, both = times.T
    return TrainingStepTimes(
        network=network,
        precision=model.dtype_policy.name,
        batch_size=images.shape[0],
        crop=tuple(images.shape[1:3]),
        step=float(np.median(step)),
        input=input_time,
        forward=float(np.median(forward)),
        backward=float(np.median(both - forward)),
        update=float(np.median(step - both)),
        memory=memory,
        first_step=first_step,
        runs=runs,
        threads=threads,
        machine=f"{machine_name()}, TensorFlow {package_version('tensorflow')}",
    )


def _timed_input(batches, runs):
    """Return a batch and the mean milliseconds of `runs` of them."""
    stream = iter(batches)
    batch = next(stream)
    next(stream)  # was made while the first one was waited for
    start = time.perf_counter()
    for _ in range(runs):
        batch = next(stream)
    return batch, 1e3 * (time.perf_counter() - start) / runs


def _losses(model, images, labels):
    """Return the loss of a training step."""
    losses, _ = model.training_losses(images, labels)
    return model.optimizer.scale_loss(losses["loss"])


def _forward(model):
    """Return the compiled forward pass: the loss in a list."""
    return _compiled(model, lambda images, labels: [_losses(model, images, labels)])


def _forward_and_backward(model):
    """Return the compiled forward and backward pass: the loss, then the gradients."""

    def run(images, labels):
        with tf.GradientTape() as tape:
            loss = _losses(model, images, labels)
        gradients = tape.gradient(loss, model.trainable_weights)
        # What is not returned is not computed; XLA heeds no control dependencies.
        return [loss, *(g for g in gradients if g is not None)]

    return _compiled(model, run)


def _compiled(model, function):
    """Return a function compiled as the model's training step is."""
    return tf.function(
        function, autograph=False, jit_compile=True if model.jit_compile else None
    )


def _peak():
    """Return the peak memory of the first GPU, or of this process; bytes."""
    if tf.config.list_logical_devices("GPU"):
        return float(tf.config.experimental.get_memory_info("GPU:0")["peak"])
    return own_peak()
