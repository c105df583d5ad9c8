"""The normalisation the whole network uses, with PyTorch's constants."""

import keras


def batch_norm(name: str, dtype) -> keras.layers.BatchNormalization:
    """Return a BatchNorm with the reference's epsilon 1e-5 and momentum.

    PyTorch's momentum 0.1 weighs the new batch, Keras' 0.9 the old average: the same.

    Args:
        name: Name of the layer.
        dtype: Dtype policy of the layer that owns it.
    """
    return keras.layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, name=name, dtype=dtype
    )


def conv_initializer() -> keras.initializers.Initializer:
    """Return VAN's initializer of convolutions: N(0, sqrt(2 / fan out))."""
    return keras.initializers.VarianceScaling(
        scale=2.0, mode="fan_out", distribution="untruncated_normal"
    )
