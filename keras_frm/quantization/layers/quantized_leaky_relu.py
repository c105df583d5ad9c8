"""A leaky ReLU as an int8 file computes it."""

import keras
import tensorflow as tf

from keras_frm.quantization.layers.integer_grid import ordered_product

_BITS = 8  # of the fraction of XNNPACK's two factors


@keras.saving.register_keras_serializable(package="keras_frm")
class QuantizedLeakyRelu(keras.layers.Layer):
    """Multiply integers by one of two factors, and requantise; halves go up.

    The factors have eight bits behind the point, so that the slope of a file is up to
    2^-9 of the quotient of scales off.

    Args:
        negative_slope: Factor of numbers below zero.

    Call arguments:
        x: (B, ..., C), multiples of `scale`.
        scale: Distance of the numbers, a scalar.
        output_scale: Distance of the result's numbers, a scalar.

    Output: as `x`, multiples of `output_scale`. In training it is the leaky ReLU in
    float, which the range behind rounds; gradients are always those.

    Example:
    >>> x = keras.ops.array([[1.0, -1.0]])
    >>> QuantizedLeakyRelu(0.25)(x, scale=0.5, output_scale=0.25).numpy().tolist()
    [[1.0, -0.25]]
    """

    def __init__(self, negative_slope: float = 0.3, **kwargs):
        super().__init__(**kwargs)
        self.negative_slope = negative_slope

    def build(self, x_shape, scale_shape=None, output_scale_shape=None):
        self.built = True

    def call(self, x, scale, output_scale, training=False):
        if training:
            return keras.ops.leaky_relu(x, self.negative_slope)

        @tf.custom_gradient
        def leaky_relu(x):
            positive = tf.convert_to_tensor((1 << _BITS) * scale / output_scale)
            negative = ordered_product(positive, self.negative_slope)
            factor = tf.where(x < 0, tf.round(negative), tf.round(positive))
            scaled = tf.round(x / scale) * factor + (1 << _BITS - 1)
            y = tf.floor(scaled / (1 << _BITS)) * output_scale
            slope = tf.where(x < 0, self.negative_slope, 1.0)
            return y, lambda upstream: upstream * slope

        return leaky_relu(tf.convert_to_tensor(x))

    def compute_output_spec(self, x, scale, output_scale, **kwargs):
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "negative_slope": self.negative_slope}
