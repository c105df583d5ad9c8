"""BatchNorm with the batch's statistics as one operation."""

import keras
import tensorflow as tf


def can_fuse(norm: keras.layers.BatchNormalization, x: tf.Tensor) -> bool:
    """Return whether the operation has all that a layer asks for.

    Args:
        norm: A built layer.
        x: Its input.

    Example:
    >>> can_fuse(keras.layers.BatchNormalization(synchronized=True), tf.ones((1, 3)))
    False
    """
    return (
        norm.trainable
        and not norm.synchronized
        and not norm.renorm
        and norm.scale
        and norm.center
        and len(x.shape) == 4
        and norm.axis in (-1, 3)
        and norm.variable_dtype == "float32"
        and x.dtype in (tf.float32, tf.bfloat16, tf.float16)
    )


def fused_batch_norm(
    norm: keras.layers.BatchNormalization, x: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Normalise features by the statistics of their batch.

    Args:
        norm: A built layer, whose scale, offset and epsilon are taken.
        x: (B, H, W, C) tensor.

    Returns:
        The features, and the batch's mean and variance without Bessel's correction:
        (B, H, W, C) of the dtype of `x`, (C,) and (C,) float32.

    Example:
    >>> norm = keras.layers.BatchNormalization()
    >>> norm.build((1, 1, 2, 1))
    >>> _, mean, variance = fused_batch_norm(norm, tf.constant([[[[1.0], [3.0]]]]))
    >>> float(mean[0]), float(variance[0])
    (2.0, 1.0)
    """
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=tf.convert_to_tensor(norm.gamma),
        offset=tf.convert_to_tensor(norm.beta),
        mean=tf.zeros(0),
        variance=tf.zeros(0),
        epsilon=norm.epsilon,
        is_training=True,
    )
    # The operation multiplies the variance by n / (n - 1).
    count = tf.cast(tf.size(x) // x.shape[-1], tf.float32)
    variance = variance * tf.maximum(count - 1, 1) / count
    return outputs, mean, variance
