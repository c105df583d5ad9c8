"""A learned factor for each channel of a residual branch."""

import keras


@keras.saving.register_keras_serializable(package="keras_frm")
class LayerScale(keras.layers.Layer):
    """Multiply each channel by a learned factor that starts small.

    Args:
        initial_value: Starting value of every factor.
        learned: Whether the factors are trained; else they are constants.

    Input and output: (B, ..., C), floating point.

    Source: Touvron et al., Going deeper with Image Transformers, 2021.

    Example:
    >>> float(LayerScale(0.01)(keras.ops.ones((1, 2, 2, 3)))[0, 0, 0, 0])
    0.009999999776482582
    """

    def __init__(self, initial_value: float = 1e-2, learned: bool = True, **kwargs):
        super().__init__(**kwargs)
        self.initial_value = initial_value
        self.learned = learned

    def build(self, input_shape):
        self.gamma = self.add_weight(
            name="gamma",
            shape=(input_shape[-1],),
            initializer=keras.initializers.Constant(self.initial_value),
            trainable=self.learned,
        )
        self.built = True

    def call(self, x):
        return x * self.gamma

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "initial_value": self.initial_value,
            "learned": self.learned,
        }
