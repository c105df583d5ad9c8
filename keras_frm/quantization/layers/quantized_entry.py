"""Where float numbers become integers inside an int8 file."""

import keras

from keras_frm.quantization.layers.integer_grid import round_to


@keras.saving.register_keras_serializable(package="keras_frm")
class QuantizedEntry(keras.layers.Layer):
    """Round float numbers to steps, by a product with the inverse of the step.

    Call arguments:
        x: (B, ..., C), floating point.
        step: Distance of the numbers to round to, a scalar.

    Output: as `x`, multiples of `step`. Gradients pass.

    Example:
    >>> QuantizedEntry()(keras.ops.array([0.3, 0.8]), step=0.5).numpy().tolist()
    [0.5, 1.0]
    """

    def build(self, x_shape, step_shape=None):
        self.built = True

    def call(self, x, step):
        # Not x / step, which float32 may round differently.
        return round_to(x, 1.0 / step, step)

    def compute_output_spec(self, x, step):
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)
