"""A product of two tensors as an int8 file computes it."""

import keras
import tensorflow as tf
from keras import ops

from keras_frm.quantization.layers.integer_grid import ordered_product


@keras.saving.register_keras_serializable(package="keras_frm")
class QuantizedMultiply(keras.layers.Layer):
    """Multiply integers, and requantise the products to the scale of the result.

    Call arguments:
        x: (B, ..., C), multiples of `x_scale`.
        y: A tensor that `x` can be multiplied by, multiples of `y_scale`.
        x_scale: Distance of the numbers of `x`, a scalar.
        y_scale: Distance of the numbers of `y`, a scalar.
        output_scale: Distance of the result's numbers, a scalar.

    Output: as the product of `x` and `y`, multiples of `output_scale`. In training it
    is the product, which the range behind rounds. Gradients pass the rounding.

    Example:
    >>> x, y = keras.ops.array([[0.5, -1.0]]), keras.ops.array([[0.25, 0.75]])
    >>> scales = {"x_scale": 0.5, "y_scale": 0.25, "output_scale": 0.25}
    >>> QuantizedMultiply()(x, y, **scales).numpy().tolist()
    [[0.0, -0.75]]
    """

    def build(self, *shapes):
        self.built = True

    def call(self, x, y, x_scale, y_scale, output_scale, training=False):
        if training:
            return x * y

        @tf.custom_gradient
        def multiply(x, y):
            integers = (x / x_scale) * (y / y_scale)
            multiplier = x_scale * y_scale / output_scale
            result = tf.round(ordered_product(integers, multiplier)) * output_scale

            def gradient(upstream):
                with tf.GradientTape() as tape:
                    tape.watch((x, y))
                    exact = x * y
                # It knows how to add up over what was broadcast.
                return tape.gradient(exact, (x, y), upstream)

            return result, gradient

        return multiply(ops.convert_to_tensor(x), ops.convert_to_tensor(y))

    def compute_output_spec(self, x, y, x_scale, y_scale, output_scale, **kwargs):
        shapes = (tf.TensorShape(tensor.shape) for tensor in (x, y))
        shape = tf.broadcast_static_shape(*shapes)
        return keras.KerasTensor(shape.as_list(), dtype=self.compute_dtype)
