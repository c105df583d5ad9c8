"""A tensor as an int8 file will hold it."""

import keras


@keras.saving.register_keras_serializable(package="keras_frm")
class FakeQuant(keras.layers.Layer):
    """Round a tensor to the 256 numbers of its range.

    Args:
        minimum: Smallest number of the range; widened to 0 if above it.
        maximum: Largest number of the range; widened to 0 if below it.

    Input and output: (B, ..., C), floating point. Gradients pass where the input is
    inside the range.

    Source: Jacob et al., Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference, 2018, eq. 12.

    Example:
    >>> x = keras.ops.array([[-1.0, 0.1, 0.5, 9.0]])
    >>> keras.ops.convert_to_numpy(FakeQuant(0.0, 2.55)(x)).round(4).tolist()
    [[0.0, 0.10000000149011612, 0.5, 2.549999952316284]]
    """

    def __init__(self, minimum: float, maximum: float, **kwargs):
        super().__init__(**kwargs)
        self.initial_range = (min(float(minimum), 0.0), max(float(maximum), 0.0))

    def build(self, input_shape):
        names = ("minimum", "maximum")
        self.minimum, self.maximum = (
            self.add_weight(
                shape=(),
                initializer=keras.initializers.Constant(value),
                trainable=False,
                name=name,
            )
            for name, value in zip(names, self.initial_range, strict=True)
        )
        self.built = True

    def call(self, x):
        return keras.quantizers.fake_quant_with_min_max_vars(
            x, self.minimum, self.maximum, num_bits=8
        )

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        minimum, maximum = self.initial_range
        return {**super().get_config(), "minimum": minimum, "maximum": maximum}
