"""The steps of a training's data."""

from collections.abc import Callable

import tensorflow as tf

from keras_frm.training.checkpoint import Checkpoint


def stream_from(
    train_data: tf.data.Dataset | Callable[[int], tf.data.Dataset], first_step: int
) -> tf.data.Dataset:
    """Return endless batches from a step on, with `steps_per_epoch`.

    Args:
        train_data: Function from the step to such a stream, or a dataset of known
            length that is one epoch in each iteration.
        first_step: Steps that were done before.

    Raises:
        ValueError: The length of an epoch is not known.

    Example:
    >>> stream = stream_from(tf.data.Dataset.range(3), 4)
    >>> stream.steps_per_epoch, [int(i) for i in stream.take(3)]
    (3, [1, 2, 0])
    """
    if callable(train_data):
        return train_data(first_step)
    steps = int(train_data.cardinality())
    if steps < 1:
        raise ValueError(
            "The length of the training data is unknown or 0; pass a dataset of known "
            "length, or a function from the first step to a stream."
        )
    stream = train_data.repeat().skip(first_step)
    stream.steps_per_epoch = steps
    return stream


def batch_size_of(stream: tf.data.Dataset) -> int | None:
    """Return the number of images in a step, None where it is not known."""
    images = stream.element_spec[0]
    return images.shape[0] if isinstance(images, tf.TensorSpec) else None


def check_steps(
    checkpoint: Checkpoint | None, steps: int, steps_per_execution: int
) -> None:
    """Raise where the steps of an epoch do not fit.

    Args:
        checkpoint: Where the training goes on.
        steps: Steps of an epoch, as the data have them.
        steps_per_execution: Steps that are done at once.

    Raises:
        ValueError: The checkpoint has other steps, or they are no whole executions.
    """
    if checkpoint and checkpoint.position.steps_per_epoch != steps:
        raise ValueError(
            f"{checkpoint.path} has {checkpoint.position.steps_per_epoch} steps in an "
            f"epoch and the data have {steps}; use the same data, or another run "
            "folder."
        )
    if steps % steps_per_execution:
        raise ValueError(
            f"{steps_per_execution} steps per execution do not divide the {steps} "
            "steps of an epoch; choose a divisor."
        )
