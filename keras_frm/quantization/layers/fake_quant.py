"""Fake quantisation: a float tensor with the numbers that an int8 file holds."""

import keras
import tensorflow as tf

from keras_frm.quantization.layers.integer_grid import nudged_grid


@keras.saving.register_keras_serializable(package="keras_frm")
class FakeQuant(keras.layers.Layer):
    """Quantise a tensor to the 256 numbers of its range, and dequantise it.

    Args:
        minimum: Smallest number of the range; widened to 0 if above it.
        maximum: Largest number of the range; widened to 0 if below it.

    Call arguments:
        x: (B, ..., C), floating point.
        grid: What `only_grid` gave, where it was asked for; else the layer's own.
        only_grid: Whether the result is not `x`, rounded, but the smallest number of
            the range, the largest and the scale, scalars in float32.

    Output: as `x`. Gradients pass where the input is inside the range.

    Source: Jacob et al., Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference, 2018, eq. 12.

    Example:
    >>> x = keras.ops.array([[-1.0, 0.1, 0.5, 9.0]])
    >>> keras.ops.convert_to_numpy(FakeQuant(0.0, 2.55)(x)).round(2).tolist()
    [[0.0, 0.10000000149011612, 0.5, 2.549999952316284]]
    """

    def __init__(self, minimum: float, maximum: float, **kwargs):
        super().__init__(**kwargs)
        self.initial_range = (min(float(minimum), 0.0), max(float(maximum), 0.0))

    def build(self, input_shape):
        # Once: an exported network has hundreds of ranges, and the operations of each
        # take their time to trace and to fold.
        with tf.init_scope():
            grid = nudged_grid(*self.initial_range)
            self._grid = tuple(float(number) for number in grid)
        self.built = True

    def ends(self) -> tuple:
        """Return minimum and maximum as they were calibrated or observed: scalars.

        The numbers that a file can hold are next to them, see `grid`.
        """
        return self.initial_range

    def grid(self) -> tuple:
        """Return smallest and largest number and the scale: scalar tensors."""
        return tuple(tf.constant(number, tf.float32) for number in self._grid)

    def scale(self):
        """Return the distance of the range's numbers: a scalar tensor."""
        return self.grid()[2]

    def call(self, x, grid=None, only_grid=False):
        if only_grid:
            return self.grid()
        low, high, _ = grid or self.grid()
        x = tf.convert_to_tensor(x)
        y = tf.quantization.fake_quant_with_min_max_vars(
            tf.cast(x, tf.float32), low, high, num_bits=8
        )
        return tf.cast(y, x.dtype)

    def compute_output_spec(self, x, grid=None, only_grid=False, **kwargs):
        if only_grid:
            return tuple(keras.KerasTensor((), dtype="float32") for _ in range(3))
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def get_config(self):
        minimum, maximum = self.initial_range
        return {
            **super().get_config(),
            "minimum": minimum,
            "maximum": maximum,
        }

    @classmethod
    def from_config(cls, config):
        # Older files have it; it is false in all that could be exported.
        return cls(**{k: v for k, v in config.items() if k != "symmetric"})
