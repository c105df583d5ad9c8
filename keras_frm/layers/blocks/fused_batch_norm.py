"""BatchNorm that trains in one operation."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable(package="keras_frm")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' layer, computed in training by TensorFlow's fused operation.

    Keras 3 builds it from means, differences and products, each a pass over the
    features with a gradient of its own. Statistics are float32 in both, the moving
    variance is that of the batch without Bessel's correction. In inference, with
    statistics that replicas exchange, and with other options this is Keras' own layer.

    Args:
        *args, **kwargs: See `keras.layers.BatchNormalization`.

    Example:
    >>> layer = BatchNormalization(momentum=0.0)
    >>> y = layer(tf.constant([[[[1.0]], [[3.0]]]]), training=True)
    >>> float(layer.moving_mean[0]), round(float(layer.moving_variance[0]), 4)
    (2.0, 1.0)
    """

    def call(self, inputs, training=None, mask=None):
        if not (training and mask is None and self._can_fuse(inputs)):
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=tf.zeros(0),
            variance=tf.zeros(0),
            epsilon=self.epsilon,
            is_training=True,
        )
        # The operation multiplies the variance by n / (n - 1).
        count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
        variance = variance * tf.maximum(count - 1, 1) / count
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance)
        return outputs

    def _can_fuse(self, inputs):
        """Whether the operation has all that is asked for."""
        return (
            self.trainable
            and not self.synchronized
            and not self.renorm
            and self.scale
            and self.center
            and len(inputs.shape) == 4
            and self.axis in (-1, 3)
            and self.variable_dtype == "float32"
            and inputs.dtype in (tf.float32, tf.bfloat16, tf.float16)
        )

    def _move(self, average, value):
        """Let a moving average follow the batch."""
        average.assign(average * self.momentum + value * (1.0 - self.momentum))
