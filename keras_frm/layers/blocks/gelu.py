"""The exact GELU."""

import keras
from keras import ops

from keras_frm.backend import Tensor, is_tensorflow


def gelu(x: Tensor, training: bool = False) -> Tensor:
    """Return x times the normal distribution's probability of less than x.

    As single operations, value and gradient pass 15 times over the features and keep
    several tensors of their size. In training with TensorFlow on a CPU, XLA makes one
    loop of each, and the input alone is kept.

    Args:
        x: Floating point tensor.
        training: Whether the gradient will be wanted.

    Returns:
        Tensor of the shape and dtype of `x`.

    Source: Hendrycks and Gimpel, Gaussian Error Linear Units, 2016.

    Example:
    >>> [round(float(y), 4) for y in gelu(ops.array([-1.0, 0.0, 1.0]))]
    [-0.1587, 0.0, 0.8413]
    """
    if training and is_tensorflow():
        from keras_frm.backend.tensorflow.fused_gelu import can_fuse, fused_gelu

        if can_fuse(x):
            return fused_gelu(x)
    return ops.gelu(x, approximate=False)


def pointwise_of_gelu(
    x: Tensor, layer: keras.layers.Conv2D, training: bool = False
) -> Tensor:
    """Return what a 1x1 convolution makes of the GELU of a tensor.

    In training with TensorFlow on a CPU the GELU, which is the larger of the two by
    the ratio of a feed-forward block, is not kept for the gradient.

    Args:
        x: (B, H, W, C) floating point tensor.
        layer: A built layer with a kernel of 1x1, stride 1 and no activation.
        training: Whether the gradient will be wanted.

    Returns:
        (B, H, W, C_out) tensor.

    Example:
    >>> layer = keras.layers.Conv2D(2, 1)
    >>> tuple(pointwise_of_gelu(ops.ones((1, 5, 7, 4)), layer).shape)
    (1, 5, 7, 2)
    """
    if training and is_tensorflow():
        from keras_frm.backend.tensorflow import fused_gelu

        if fused_gelu.can_fuse(x):
            return fused_gelu.pointwise_of_gelu(x, layer)
    return layer(gelu(x, training))
