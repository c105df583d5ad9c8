"""BatchNorm that trains in one operation."""

import keras

from keras_frm.backend import is_tensorflow


@keras.saving.register_keras_serializable(package="keras_frm")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' layer, computed in training by TensorFlow's fused operation.

    Keras 3 builds it from means, differences and products, each a pass over the
    features with a gradient of its own. Statistics are float32 in both, the moving
    variance is that of the batch without Bessel's correction. In inference, with
    statistics that replicas exchange, with other options and on other backends this is
    Keras' own layer.

    Args:
        *args, **kwargs: See `keras.layers.BatchNormalization`.

    Example:
    >>> layer = BatchNormalization(momentum=0.0)
    >>> y = layer(keras.ops.array([[[[1.0]], [[3.0]]]]), training=True)
    >>> float(layer.moving_mean[0]), round(float(layer.moving_variance[0]), 4)
    (2.0, 1.0)
    """

    def call(self, inputs, training=None, mask=None):
        if training and mask is None and is_tensorflow():
            from keras_frm.backend.tensorflow import fused_batch_norm as fused

            if fused.can_fuse(self, inputs):
                outputs, mean, variance = fused.fused_batch_norm(self, inputs)
                self._follow(self.moving_mean, mean)
                self._follow(self.moving_variance, variance)
                return outputs
        return super().call(inputs, training=training, mask=mask)

    def _follow(self, average, value):
        average.assign(average * self.momentum + value * (1.0 - self.momentum))
