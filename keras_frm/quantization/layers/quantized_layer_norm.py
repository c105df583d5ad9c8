"""LayerNormalization of integers, with the same numbers on every machine."""

import keras
import tensorflow as tf

from keras_frm.quantization.layers.integer_grid import rescale_and_round

_HERON_STEPS = 3


@keras.saving.register_keras_serializable(package="keras_frm")
class QuantizedLayerNorm(keras.layers.Layer):
    """Normalise integers over their channels, in float without a choice.

    LayerNormalization is float inside an int8 file. Its last bit depends on the order
    of its sums and on the processor's square root, and the rounding behind it makes a
    whole step of that bit now and then. Here the sums are sums of integers, exact
    while they are below 2^24, in any order; the root comes from divisions and
    additions, which IEEE 754 leaves no choice. In training it is the usual layer.

    Args:
        unit: The input's numbers are multiples of `unit` times `scale`. A power of two.
        epsilon: Added to the variance.

    Call arguments:
        x: (B, ..., C), multiples of `unit` times `scale`.
        scale: Of the input's range, a scalar.

    Output: as `x`. Gradients are those of `keras.layers.LayerNormalization`.

    Source: Ba et al., Layer Normalization, 2016; the root by Heron's method.

    Example:
    >>> layer = QuantizedLayerNorm()
    >>> layer(keras.ops.array([[0.5, 1.5]]), scale=0.5).numpy().round(3).tolist()
    [[-0.9980000257492065, 0.9980000257492065]]
    """

    def __init__(self, unit: float = 1.0, epsilon: float = 1e-3, **kwargs):
        super().__init__(**kwargs)
        self.unit = unit
        self.epsilon = epsilon

    @classmethod
    def of(cls, layer, unit: float = 1.0) -> "QuantizedLayerNorm":
        """Return a layer of the same function as a built `LayerNormalization`.

        Args:
            layer: One over the last axis, with scale and offset.
            unit: See the class.
        """
        new = cls(unit, layer.epsilon, name=layer.name, dtype="float32")
        new.build(layer.get_build_config()["input_shape"])
        new.set_weights(layer.get_weights())
        return new

    def float_layer(self) -> keras.layers.LayerNormalization:
        """Return the layer that this one was made of, with the weights of now."""
        new = keras.layers.LayerNormalization(
            epsilon=self.epsilon, name=self.name, dtype="float32"
        )
        new.build((None, *self.gamma.shape))
        new.set_weights(self.get_weights())
        return new

    def build(self, x_shape, scale_shape=None):
        self.gamma = self.add_weight(
            shape=(x_shape[-1],), initializer="ones", name="gamma"
        )
        self.beta = self.add_weight(
            shape=(x_shape[-1],), initializer="zeros", name="beta"
        )
        self.built = True

    def call(self, x, scale, training=False):
        if training:
            return keras.ops.layer_normalization(
                x, self.gamma, self.beta, epsilon=self.epsilon
            )
        scale = tf.cast(scale, tf.float32) * self.unit
        x = rescale_and_round(x, 1.0 / scale, 1.0)  # integers
        share = 1.0 / x.shape[-1]
        mean = tf.reduce_sum(x, -1, keepdims=True) * share  # (B, ..., 1)
        square = tf.reduce_sum(tf.square(x), -1, keepdims=True) * share  # (B, ..., 1)
        variance = square - tf.square(mean) + self.epsilon / tf.square(scale)
        # Not by 1 / root: TensorFlow approximates reciprocals.
        return (x - mean) * (self.gamma / _square_root(variance)) + self.beta

    def compute_output_spec(self, x, scale, **kwargs):
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "unit": self.unit, "epsilon": self.epsilon}


def _square_root(x):
    # Processors agree on the root as far as this.
    root = tf.stop_gradient(tf.round(tf.sqrt(x) * 4.0)) * 0.25 + 0.25
    for _ in range(_HERON_STEPS):
        root = (root + x / root) * 0.5
    return root
