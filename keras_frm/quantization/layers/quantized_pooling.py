"""Means of maps and of windows as an int8 file computes them."""

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

    Output: (B, C) or (B, 1, 1, C), multiples of `scale`. Gradients pass the rounding.

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

    def call(self, x, scale, low):
        share = 1.0 / (x.shape[1] * x.shape[2])
        zero = tf.round(-low / scale)  # what is stored for 0

        @tf.custom_gradient
        def requantise(sums):
            stored = tf.round(ordered_product(sums, share) + zero)
            return (stored - zero) * scale, lambda upstream: upstream * (share * scale)

        return requantise(tf.reduce_sum(x / scale, (1, 2), keepdims=self.keepdims))

    def compute_output_spec(self, x, scale, low):
        size = (1, 1) if self.keepdims else ()
        shape = (x.shape[0], *size, x.shape[3])
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "keepdims": self.keepdims}


@keras.saving.register_keras_serializable(package="keras_frm")
class QuantizedAveragePooling(keras.layers.Layer):
    """Average integers over windows; halves of what is stored go away from zero.

    Args:
        pool_size: Height and width of a window.
        strides: Distance of two windows, by row and by column.

    Call arguments:
        x: (B, H, W, C), multiples of `scale`; windows do not reach over its edges.
        scale: Distance of the numbers, a scalar.
        low: Smallest number of the range, a scalar.

    Output: (B, h, w, C), multiples of `scale`. Gradients pass the rounding.

    Example:
    >>> x = keras.ops.reshape(keras.ops.array([0.5, 0.5, 0.5, 1.0]), (1, 2, 2, 1))
    >>> layer = QuantizedAveragePooling((2, 2), (2, 2))
    >>> float(layer(x, scale=0.5, low=0.0)[0, 0, 0, 0])
    0.5
    """

    def __init__(self, pool_size: tuple[int, int], strides: tuple[int, int], **kwargs):
        super().__init__(**kwargs)
        self.pool_size, self.strides = tuple(pool_size), tuple(strides)

    def build(self, x_shape, scale_shape=None, low_shape=None):
        self.built = True

    def call(self, x, scale, low):
        count = self.pool_size[0] * self.pool_size[1]
        zero = tf.round(-low / scale) - 128.0  # what int8 stores for 0

        @tf.custom_gradient
        def requantise(means):
            stored = tf.round(means / scale * count) / count + zero
            rounded = tf.sign(stored) * tf.floor(tf.abs(stored) + 0.5)
            return (rounded - zero) * scale, lambda upstream: upstream

        return requantise(tf.nn.avg_pool2d(x, self.pool_size, self.strides, "VALID"))

    def compute_output_spec(self, x, scale, low):
        size = (
            (side - window) // step + 1
            for side, window, step in zip(
                x.shape[1:3], self.pool_size, self.strides, strict=True
            )
        )
        shape = (x.shape[0], *size, x.shape[3])
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        sizes = {"pool_size": self.pool_size, "strides": self.strides}
        return {**super().get_config(), **sizes}
