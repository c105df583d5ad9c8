"""Means of maps as an int8 file computes them."""

import keras
import tensorflow as tf

from keras_frm.quantization.layers.integer_grid import ordered_product


@keras.saving.register_keras_serializable(package="keras_frm")
class QuantizedGlobalPooling(keras.layers.Layer):
    """Average integers over all positions, and requantise the mean.

    Halves go to the even one of the integers that are stored: those from the smallest
    number of the range on, not from zero.

    Args:
        keepdims: Whether height and width stay, as 1.

    Call arguments:
        x: (B, H, W, C), multiples of `scale`.
        scale: Distance of the numbers, a scalar.
        low: Smallest number of the range, a scalar.

    Output: (B, C) or (B, 1, 1, C), multiples of `scale`. In training it is the mean,
    which the range behind rounds. Gradients pass the rounding.

    Example:
    >>> x = keras.ops.reshape(keras.ops.array([0.5, 0.5, 0.5, 1.5]), (1, 2, 2, 1))
    >>> QuantizedGlobalPooling()(x, scale=0.5, low=0.0).numpy().tolist()
    [[1.0]]
    >>> QuantizedGlobalPooling()(x, scale=0.5, low=-0.5).numpy().tolist()
    [[0.5]]
    """

    def __init__(self, keepdims: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.keepdims = keepdims

    def build(self, x_shape, scale_shape=None, low_shape=None):
        self.built = True

    def call(self, x, scale, low, training=False):
        if training:
            return tf.reduce_mean(x, (1, 2), keepdims=self.keepdims)
        share = 1.0 / (x.shape[1] * x.shape[2])
        zero = tf.round(-low / scale)  # what is stored for 0

        @tf.custom_gradient
        def requantise(sums):
            stored = tf.round(ordered_product(sums, share) + zero)
            return (stored - zero) * scale, lambda upstream: upstream * (share * scale)

        return requantise(tf.reduce_sum(x / scale, (1, 2), keepdims=self.keepdims))

    def compute_output_spec(self, x, scale, low, **kwargs):
        size = (1, 1) if self.keepdims else ()
        shape = (x.shape[0], *size, x.shape[3])
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "keepdims": self.keepdims}
