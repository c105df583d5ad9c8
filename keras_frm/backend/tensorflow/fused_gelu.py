"""The exact GELU as one loop for the value and one for the gradient."""

import math

import keras
import tensorflow as tf

from keras_frm.backend.tensorflow.device import computes_on_x86

# Deviations beyond which less than 1e-8 of the probability is left.
_FAR = 5.7


def can_fuse(x: tf.Tensor) -> bool:
    """Return whether XLA's form of GELU is for this tensor.

    XLA compiles for each size it meets, so sizes that are not known when the step is
    traced are left out; elsewhere than on a CPU it was not measured.

    Args:
        x: A tensor, or a KerasTensor, for which it is not.

    Example:
    >>> import keras
    >>> can_fuse(keras.Input((3,)))
    False
    """
    return isinstance(x, tf.Tensor) and x.shape.is_fully_defined() and computes_on_x86()


@tf.custom_gradient
def fused_gelu(x: tf.Tensor) -> tf.Tensor:
    """Return x Phi(x), with a gradient that needs the input only.

    Args:
        x: Floating point tensor of known size.

    Returns:
        Tensor of the shape and dtype of `x`, and its gradient to TensorFlow.

    Example:
    >>> [round(float(y), 4) for y in fused_gelu(tf.constant([-1.0, 0.0, 1.0]))]
    [-0.1587, 0.0, 0.8413]
    """

    def gradient(upstream):
        return _compiled_gradient(x, upstream)

    return _compiled_value(x), gradient


def pointwise_of_gelu(x: tf.Tensor, layer: keras.layers.Conv2D) -> tf.Tensor:
    """Return what a 1x1 convolution makes of the GELU of its input.

    The gradient of the kernel needs the GELU, which is the largest tensor of a
    feed-forward block. It is not kept but computed again, a loop over the input.

    Args:
        x: (B, H, W, C) floating point tensor of known size.
        layer: A built layer with a kernel of 1x1 and stride 1.

    Returns:
        (B, H, W, C_out) tensor, without the layer's activation.

    Source: Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016.

    Example:
    >>> layer = keras.layers.Conv2D(1, 1, kernel_initializer="ones")
    >>> layer.build((1, 1, 1, 2))
    >>> round(float(pointwise_of_gelu(tf.ones((1, 1, 1, 2)), layer)[0, 0, 0, 0]), 4)
    1.6827
    """
    y = _pointwise_of_gelu(x, tf.convert_to_tensor(layer.kernel))
    return tf.nn.bias_add(y, tf.convert_to_tensor(layer.bias)) if layer.use_bias else y


@tf.custom_gradient
def _pointwise_of_gelu(x, kernel):
    options = {"strides": [1, 1, 1, 1], "padding": "VALID"}

    def gradient(upstream):
        # Without the dependency TensorFlow would find that it has computed this before.
        with tf.control_dependencies([upstream]):
            hidden = _compiled_value(x)
        of_kernel = tf.raw_ops.Conv2DBackpropFilter(
            input=hidden, filter_sizes=kernel.shape, out_backprop=upstream, **options
        )
        of_hidden = tf.raw_ops.Conv2DBackpropInput(
            input_sizes=x.shape, filter=kernel, out_backprop=upstream, **options
        )
        return _compiled_gradient(x, of_hidden), of_kernel

    return tf.nn.conv2d(_compiled_value(x), kernel, **options), gradient


@tf.function(jit_compile=True, autograph=False)
def _compiled_value(x):
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
