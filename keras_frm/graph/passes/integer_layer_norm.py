"""LayerNorm from operations that integer-only accelerators have."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_frm.graph.graph import Graph, named, rebuild
from keras_frm.graph.passes.scale_to_depthwise import depthwise_affine

# From here on the converter makes no L2_NORMALIZATION, but float operations.
_EPSILON_LIMIT = 1e-3


@keras.saving.register_keras_serializable(package="keras_frm")
class UnitLength(keras.layers.Layer):
    """Divide each position's channels by their Euclidean length.

    Args:
        epsilon: Smallest square of a length; shorter vectors shrink instead of
            growing to length 1.

    Input and output: (B, ..., C), floating point.

    `keras.ops.normalize` is the same function in a form that the converter does not
    recognise as TFLite's L2_NORMALIZATION.

    Example:
    >>> UnitLength()(keras.ops.array([[3.0, 4.0]])).numpy().round(2).tolist()
    [[0.6000000238418579, 0.800000011920929]]
    """

    def __init__(self, epsilon: float = 1e-12, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, input_shape):
        self.built = True

    def call(self, x):
        return tf.math.l2_normalize(x, axis=-1, epsilon=self.epsilon)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


def integer_layer_norm(model: keras.Model) -> keras.Model:
    """Replace each LayerNorm over channels by mean, difference, length and scale.

    Of a position's C channels x, gamma (x - mean) / std + beta is
    sqrt(C) gamma u + beta, where u is x - mean divided by its length: one operation
    with an integer kernel that takes its square root in 32 bits. The two forms differ
    where the variance is as small as LayerNorm's epsilon.

    Args:
        model: A Functional model of primitive layers.

    Returns:
        A model without LayerNorms on (B, H, W, C).

    Raises:
        ValueError: The epsilon of a LayerNorm is too large for TFLite's operation.

    Example:
    >>> x = keras.Input((8, 8, 4))
    >>> norm = keras.layers.LayerNormalization(epsilon=1e-6)
    >>> new = integer_layer_norm(keras.Model(x, norm(x)))
    >>> [type(operation).__name__ for operation in new.operations][1:]
    ['Mean', 'Subtract', 'UnitLength', 'DepthwiseConv2D']
    """
    replacements = {}
    for call in Graph(model).calls:
        layer = call.operation
        if isinstance(layer, keras.layers.LayerNormalization):
            shape = call.inputs[0].shape
            if len(shape) == 4 and list(np.atleast_1d(layer.axis)) in ([3], [-1]):
                replacements[layer] = _in_operations(layer, shape[-1])
    return rebuild(model, replacements)


def _in_operations(layer, channels):
    name = layer.name
    if channels * layer.epsilon >= _EPSILON_LIMIT:
        raise ValueError(
            f"LayerNorm '{name}' has epsilon={layer.epsilon} and {channels} channels; "
            f"without float their product must be below {_EPSILON_LIMIT}. "
            "precision='int8' keeps it in float."
        )
    root = np.sqrt(channels)
    gamma = root * np.ones(channels)
    if layer.scale:
        gamma = root * np.asarray(layer.gamma, np.float64)
    beta = np.asarray(layer.beta) if layer.center else np.zeros(channels)
    length = UnitLength(epsilon=channels * layer.epsilon, name=f"{name}.length")
    affine = depthwise_affine(name, gamma, beta)

    def layer_norm(x):
        mean = named(ops.mean(x, axis=-1, keepdims=True), f"{name}.mean")
        return affine(length(named(ops.subtract(x, mean), f"{name}.centre")))

    return layer_norm
