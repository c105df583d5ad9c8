"""A product of two tensors as an int8 file computes it."""

import keras
import tensorflow as tf
from keras import ops

from keras_frm.quantization.layers.integer_grid import product


@keras.saving.register_keras_serializable(package="keras_frm")
class QuantizedMultiply(keras.layers.Layer):
    """Multiply integers, and round the products to the step of the result.

    Call arguments:
        x: (B, ..., C), multiples of `step`.
        y: A tensor that `x` can be multiplied by, multiples of `other_step`.
        step: Distance of the numbers of `x`, a scalar.
        other_step: Distance of the numbers of `y`, a scalar.
        output_step: Distance of the result's numbers, a scalar.

    Output: as the product of `x` and `y`, multiples of `output_step`. Gradients pass
    the rounding.

    Example:
    >>> x, y = keras.ops.array([[0.5, -1.0]]), keras.ops.array([[0.25, 0.75]])
    >>> steps = {"step": 0.5, "other_step": 0.25, "output_step": 0.25}
    >>> QuantizedMultiply()(x, y, **steps).numpy().tolist()
    [[0.0, -0.75]]
    """

    def build(self, *shapes):
        self.built = True

    def call(self, x, y, step, other_step, output_step):
        @tf.custom_gradient
        def multiply(x, y):
            integers = (x / step) * (y / other_step)
            scale = step * other_step / output_step
            result = tf.round(product(integers, scale)) * output_step

            def gradient(upstream):
                with tf.GradientTape() as tape:
                    tape.watch((x, y))
                    exact = x * y
                # It knows how to add up over what was broadcast.
                return tape.gradient(exact, (x, y), upstream)

            return result, gradient

        return multiply(ops.convert_to_tensor(x), ops.convert_to_tensor(y))

    def compute_output_spec(self, x, y, step, other_step, output_step):
        shapes = (tf.TensorShape(tensor.shape) for tensor in (x, y))
        shape = tf.broadcast_static_shape(*shapes)
        return keras.KerasTensor(shape.as_list(), dtype=self.compute_dtype)
