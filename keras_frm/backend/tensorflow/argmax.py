"""The class of the largest score, in one pass."""

import tensorflow as tf


def argmax(scores: tf.Tensor) -> tf.Tensor:
    """Return the position of the largest number of the last axis, the first of equals.

    `keras.ops.argmax` passes several more times over the scores to tell -0 from 0, with
    operations that TFLite lacks.

    Args:
        scores: (..., C) tensor of any dtype of numbers.

    Returns:
        (...) int32 tensor.

    Example:
    >>> argmax(tf.constant([[0.0, 2.0, 2.0]])).numpy().tolist()
    [1]
    """
    return tf.argmax(scores, axis=-1, output_type=tf.int32)
