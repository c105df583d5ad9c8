"""The depthwise convolution with gradients that are convolutions again."""

import keras
import tensorflow as tf
from keras import ops

from keras_frm.backend.tensorflow.device import has_onednn


def can_convolve(layer: keras.layers.DepthwiseConv2D) -> bool:
    """Return whether a layer's gradients are convolutions of the same kind, and faster.

    Args:
        layer: A built layer.

    Example:
    >>> can_convolve(keras.layers.DepthwiseConv2D(3, padding="valid"))
    False
    """
    return (
        layer.padding == "same"
        and set(layer.strides) == {1}
        and len(set(layer.dilation_rate)) == 1  # it becomes a stride
        and all(size % 2 for size in layer.kernel_size)
        and layer.depth_multiplier == 1
        and layer.data_format == "channels_last"
        and has_onednn()
    )


def convolve(layer: keras.layers.DepthwiseConv2D, x: tf.Tensor) -> tf.Tensor:
    """Return what a layer's convolution and bias make of its input.

    Args:
        layer: A built layer that `can_convolve`.
        x: (B, H, W, C) tensor.

    Returns:
        (B, H, W, C) tensor, without the layer's activation.

    Example:
    >>> layer = keras.layers.DepthwiseConv2D(3, padding="same")
    >>> layer.build((1, 4, 4, 2))
    >>> tuple(convolve(layer, tf.ones((1, 4, 4, 2))).shape)
    (1, 4, 4, 2)
    """
    kernel = tf.convert_to_tensor(layer.kernel)
    y = depthwise_conv(x, kernel, layer.dilation_rate)
    return tf.nn.bias_add(y, tf.convert_to_tensor(layer.bias)) if layer.use_bias else y


def depthwise_conv(
    x: tf.Tensor, kernel: tf.Tensor, dilation_rate: tuple[int, int]
) -> tf.Tensor:
    """Convolve each channel with its own kernel, zeros around the map.

    TensorFlow's own gradient of the kernel takes four times as long as the convolution.
    It is a sum over 49 (25) shifts of products of two maps, and the kernels of oneDNN
    for the forward pass are fast however large the filter: the gradient of the kernel
    is the depthwise convolution of the padded input with the gradient of the output as
    its filter, the dilation as its stride. The gradient of the input is a convolution
    with the flipped kernel. Both are exact, and have gradients themselves.

    Args:
        x: (B, H, W, C) tensor.
        kernel: (h, w, C, 1) tensor, h and w odd.
        dilation_rate: Pixels between two taps, the same for rows and columns.

    Returns:
        (B, H, W, C) tensor.

    Example:
    >>> y = depthwise_conv(tf.ones((1, 4, 4, 1)), tf.ones((3, 3, 1, 1)), (3, 3))
    >>> y[0, :, :, 0].numpy().tolist()[0]
    [4.0, 2.0, 2.0, 4.0]
    """

    @tf.custom_gradient
    def with_gradients(x, kernel):
        def gradient(upstream):
            flipped = tf.reverse(kernel, (0, 1))
            return (
                depthwise_conv(upstream, flipped, dilation_rate),
                kernel_gradient(x, upstream, kernel.shape[:2], dilation_rate),
            )

        y = ops.depthwise_conv(
            x,
            kernel,
            padding="same",
            data_format="channels_last",
            dilation_rate=dilation_rate,
        )
        return y, gradient

    return with_gradients(x, kernel)


def kernel_gradient(
    x: tf.Tensor,
    upstream: tf.Tensor,
    kernel_size: tuple[int, int],
    dilation_rate: tuple[int, int],
) -> tf.Tensor:
    """Return the gradient of the kernel of `depthwise_conv`.

    Args:
        x: (B, H, W, C) input of the convolution.
        upstream: (B, H, W, C) gradient of its output.
        kernel_size: (h, w).
        dilation_rate: See `depthwise_conv`.

    Returns:
        (h, w, C, 1) tensor.
    """
    batch, height, width, _ = tf.unstack(tf.shape(x))
    channels = x.shape[-1]
    # Each image has a filter of its own, so images become channels.
    x = tf.transpose(x, (1, 2, 0, 3))  # (H, W, B, C)
    x = tf.reshape(x, (1, height, width, batch * channels))
    margin = [
        rate * (size // 2)
        for size, rate in zip(kernel_size, dilation_rate, strict=True)
    ]
    x = tf.pad(x, ((0, 0), *((m, m) for m in margin), (0, 0)))
    upstream = tf.transpose(upstream, (1, 2, 0, 3))  # (H, W, B, C)
    upstream = tf.reshape(upstream, (height, width, batch * channels, 1))
    strides = (1, *dilation_rate, 1)
    y = tf.nn.depthwise_conv2d(x, upstream, strides, "VALID")  # (1, h, w, B * C)
    y = tf.reshape(y, (*kernel_size, batch, channels))
    return tf.reduce_sum(y, axis=2)[..., None]  # (h, w, C, 1)
