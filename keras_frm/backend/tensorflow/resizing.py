"""Bilinear resizing to a size that is not known before the graph runs."""

import tensorflow as tf


def resize_to_size_of(x: tf.Tensor, reference: tf.Tensor) -> tf.Tensor:
    """Resize features to the height and width of other features.

    `keras.ops.image.resize` compares the size with 0 in Python, so it must be known
    there.

    Args:
        x: (B, h, w, C) tensor.
        reference: (B, H, W, ...) tensor.

    Returns:
        (B, H, W, C) float32 tensor.

    Example:
    >>> tuple(resize_to_size_of(tf.ones((1, 2, 3, 5)), tf.ones((1, 7, 9))).shape)
    (1, 7, 9, 5)
    """
    return tf.image.resize(x, tf.shape(reference)[1:3])
