"""A tensor as an int8 file will hold it."""

import keras


@keras.saving.register_keras_serializable(package="keras_frm")
class FakeQuant(keras.layers.Layer):
    """Round a tensor to the 256 numbers of its range.

    Args:
        minimum: Smallest number of the range; widened to 0 if above it.
        maximum: Largest number of the range; widened to 0 if below it.
        symmetric: Whether the range is widened to have zero in its middle, as engines
            without zero points need it; it has 255 numbers then.

    Call arguments:
        x: (B, ..., C), floating point.
        only_step: Whether the result is not `x`, rounded, but the distance of the
            range's numbers, a scalar in float32.

    Output: as `x`. Gradients pass where the input is inside the range.

    Source: Jacob et al., Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference, 2018, eq. 12.

    Example:
    >>> x = keras.ops.array([[-1.0, 0.1, 0.5, 9.0]])
    >>> keras.ops.convert_to_numpy(FakeQuant(0.0, 2.55)(x)).round(4).tolist()
    [[0.0, 0.10000000149011612, 0.5, 2.549999952316284]]
    """

    def __init__(
        self, minimum: float, maximum: float, symmetric: bool = False, **kwargs
    ):
        super().__init__(**kwargs)
        low, high = min(float(minimum), 0.0), max(float(maximum), 0.0)
        if symmetric:
            low, high = -max(-low, high), max(-low, high)
        self.initial_range = (low, high)
        self.symmetric = symmetric

    def build(self, input_shape):
        low, high = self.initial_range
        self.minimum = self._add_end(low, "minimum")
        self.maximum = self._add_end(high, "maximum")
        self.built = True

    def _add_end(self, value, name):
        """Return a new variable for one end of the range."""
        return self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(value),
            trainable=False,
            dtype="float32",  # half precision would round the range
            autocast=False,
            name=name,
        )

    def ends(self) -> tuple:
        """Return the smallest and the largest number of the range: scalar tensors."""
        return self.minimum, self.maximum

    def step(self):
        """Return the distance of the range's numbers: a scalar tensor."""
        low, high = self.ends()
        return (high - low) / (254 if self.symmetric else 255)

    def call(self, x, only_step=False):
        if only_step:
            return keras.ops.convert_to_tensor(self.step())
        return keras.quantizers.fake_quant_with_min_max_vars(
            x, *self.ends(), num_bits=8, narrow_range=self.symmetric
        )

    def compute_output_spec(self, x, only_step=False, **kwargs):
        if only_step:
            return keras.KerasTensor((), dtype="float32")
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def get_config(self):
        minimum, maximum = self.initial_range
        return {
            **super().get_config(),
            "minimum": minimum,
            "maximum": maximum,
            "symmetric": self.symmetric,
        }
