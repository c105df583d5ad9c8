"""The exact GELU, trained in one pass over the features and one back."""

import math

import tensorflow as tf
from keras import ops

from keras_frm.backend.tensorflow.device import has_onednn

# Deviations beyond which less than 1e-8 of the probability is left.
_FAR = 5.7


def gelu(x, training: bool = False):
    """Return x times the normal distribution's probability of less than x.

    As single operations, value and gradient pass 15 times over the features and keep
    several tensors of their size. In training on a CPU, XLA makes one loop of each,
    and the input alone is kept. XLA compiles for each size it meets, so sizes that are
    not known when the step is traced do as Keras does.

    Args:
        x: Floating point tensor.
        training: Whether the gradient will be wanted.

    Returns:
        Tensor of the shape and dtype of `x`.

    Source: Hendrycks and Gimpel, Gaussian Error Linear Units, 2016.

    Example:
    >>> [round(float(y), 4) for y in gelu(tf.constant([-1.0, 0.0, 1.0]))]
    [-0.1587, 0.0, 0.8413]
    """
    if training and isinstance(x, tf.Tensor) and _known(x) and has_onednn():
        return _fused(x)
    return ops.gelu(x, approximate=False)


def _known(x):
    """Whether a tensor's size is known when a graph is traced."""
    return x.shape.is_fully_defined()


@tf.custom_gradient
def _fused(x):
    """Return GELU with a gradient that needs the input only."""

    def gradient(upstream):
        return _compiled_gradient(x, upstream)

    return _compiled_value(x), gradient


@tf.function(jit_compile=True, autograph=False)
def _compiled_value(x):
    """Return x Phi(x)."""
    y = _precise(x)
    return tf.cast(y * _probability(y), x.dtype)


@tf.function(jit_compile=True, autograph=False)
def _compiled_gradient(x, upstream):
    """Return the upstream gradient times Phi(x) + x phi(x)."""
    y = _precise(x)
    density = tf.exp(-0.5 * tf.square(y)) / math.sqrt(2 * math.pi)
    slope = _probability(y) + y * density
    return tf.cast(_precise(upstream) * slope, x.dtype)


def _probability(x):
    """Return Phi(x), the probability of less than x."""
    # XLA's erf is fast but ends at 1 - 1.8e-7, and the product with x would grow.
    y = 0.5 + 0.5 * tf.math.erf(x / math.sqrt(2))
    y = tf.where(x < -_FAR, tf.zeros_like(y), y)
    return tf.where(x > _FAR, tf.ones_like(y), y)


def _precise(x):
    """Return a tensor in float32 at least."""
    return x if x.dtype == tf.float64 else tf.cast(x, tf.float32)
