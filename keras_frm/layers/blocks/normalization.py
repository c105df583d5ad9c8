"""The normalisation the whole network uses, with PyTorch's constants."""

import keras

from keras_frm.backend.private_hooks import all_layers
from keras_frm.layers.blocks.fused_batch_norm import BatchNormalization


def batch_norm(
    name: str,
    dtype: str | keras.DTypePolicy | None,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
) -> keras.layers.BatchNormalization:
    """Return a BatchNorm, by default with the reference's epsilon and momentum.

    PyTorch's momentum 0.1 weighs the new batch, Keras' 0.9 the old average: the same.

    Args:
        name: Name of the layer.
        dtype: Dtype policy of the layer that owns it.
        epsilon: Added to the variance.
        momentum: Weight of the old average.
    """
    return BatchNormalization(
        momentum=momentum, epsilon=epsilon, name=name, dtype=dtype
    )


def synchronize_batch_norms(network: keras.Model, wanted: bool) -> None:
    """Let a network's BatchNorms use the images of all replicas, or of their own.

    Set for each training, for a network may come from a file that was written by
    another number of devices. Inference is the same.

    Args:
        network: The network, which is changed.
        wanted: Whether the replicas exchange their statistics.

    Example:
    >>> network = keras.Sequential([keras.Input((4, 4, 3)), batch_norm("norm", None)])
    >>> synchronize_batch_norms(network, True)
    >>> network.get_layer("norm").synchronized
    True
    """
    for layer in all_layers(network):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = wanted


def conv_initializer() -> keras.initializers.Initializer:
    """Return VAN's initializer of convolutions: N(0, sqrt(2 / fan out))."""
    return keras.initializers.VarianceScaling(
        scale=2.0, mode="fan_out", distribution="untruncated_normal"
    )


def linear_initializer() -> keras.initializers.Initializer:
    """Return the transformers' initializer of linear layers: N(0, 0.02).

    The original truncates at -2 and 2, a hundred deviations away.
    """
    return keras.initializers.RandomNormal(stddev=0.02)
