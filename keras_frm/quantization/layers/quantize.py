"""Where float numbers become integers inside an int8 file."""

import keras

from keras_frm.quantization.layers.integer_grid import rescale_and_round


@keras.saving.register_keras_serializable(package="keras_frm")
class Quantize(keras.layers.Layer):
    """Round float numbers to multiples of a scale, as TFLite's QUANTIZE does.

    It multiplies by the inverse of the scale. Clipping is left to the range behind.

    Call arguments:
        x: (B, ..., C), floating point.
        scale: Distance of the numbers to round to, a scalar.

    Output: as `x`, multiples of `scale`. In training it is `x`, for the range behind
    rounds it. Gradients pass.

    Example:
    >>> Quantize()(keras.ops.array([0.3, 0.8]), scale=0.5).numpy().tolist()
    [0.5, 1.0]
    """

    def build(self, x_shape, scale_shape=None):
        self.built = True

    def call(self, x, scale, training=False):
        if training:
            return x
        # Not x / scale, which float32 may round differently.
        return rescale_and_round(x, 1.0 / scale, scale)

    def compute_output_spec(self, x, scale, **kwargs):
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)
