"""Channels as blocks of pixels, in one operation that TFLite has."""

import tensorflow as tf


def depth_to_space(x: tf.Tensor, block: int) -> tf.Tensor:
    """Make of each position's channels a block of pixels.

    Args:
        x: (B, H, W, block * block * C) tensor.
        block: Height and width of a block.

    Returns:
        (B, block * H, block * W, C) tensor of the dtype of `x`.

    Example:
    >>> depth_to_space(tf.ones((1, 2, 3, 8)), 2).shape
    TensorShape([1, 4, 6, 2])
    """
    return tf.nn.depth_to_space(x, block)
