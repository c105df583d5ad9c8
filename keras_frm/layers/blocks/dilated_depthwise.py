"""Large and dilated depthwise convolutions that train fast on a CPU."""

import keras
import tensorflow as tf
from keras import ops

from keras_frm.backend.tensorflow.device import has_onednn


@keras.saving.register_keras_serializable(package="keras_frm")
class LargeDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """Keras' layer with another way to the gradient of its kernel.

    TensorFlow's own takes four times as long as the convolution. Both are sums over
    49 (25) shifts of products of two maps, and the kernels of oneDNN for the forward
    pass are fast however large the filter: the gradient of the kernel is the depthwise
    convolution of the padded input with the gradient of the output as its filter, the
    dilation as its stride. The gradient of the input is a convolution with the flipped
    kernel. Both are exact, and have gradients themselves.

    In inference, and where TensorFlow does not compute with oneDNN on a CPU, this is
    Keras' own layer.

    Args:
        *args, **kwargs: See `keras.layers.DepthwiseConv2D`.

    Example:
    >>> layer = LargeDepthwiseConv2D(7, padding="same", dilation_rate=3)
    >>> layer(keras.ops.ones((1, 9, 7, 8)), training=True).shape
    TensorShape([1, 9, 7, 8])
    """

    def call(self, inputs, training=False):
        if not (training and self._keeps_size() and has_onednn()):
            return super().call(inputs)
        kernel = tf.convert_to_tensor(self.kernel)
        outputs = depthwise_conv(inputs, kernel, self.dilation_rate)
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, tf.convert_to_tensor(self.bias))
        return self.activation(outputs)

    def _keeps_size(self):
        """Whether the gradients are convolutions of the same kind."""
        return (
            self.padding == "same"
            and set(self.strides) == {1}
            and len(set(self.dilation_rate)) == 1  # it becomes a stride
            and all(size % 2 for size in self.kernel_size)
            and self.depth_multiplier == 1
            and self.data_format == "channels_last"
        )


def depthwise_conv(x, kernel, dilation_rate: tuple[int, int]):
    """Convolve each channel with its own kernel, zeros around the map.

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
    def convolve(x, kernel):
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

    return convolve(x, kernel)


def kernel_gradient(x, upstream, kernel_size, dilation_rate):
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
