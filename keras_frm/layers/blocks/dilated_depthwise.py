"""Large and dilated depthwise convolutions that train fast on a CPU."""

import keras

from keras_frm.backend import is_tensorflow


@keras.saving.register_keras_serializable(package="keras_frm")
class LargeDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """Keras' layer with another way to the gradients.

    The way is that of `keras_frm.backend.tensorflow.depthwise_conv`. In inference, on
    other backends, and where TensorFlow does not compute with oneDNN on a CPU, this is
    Keras' own layer.

    Args:
        *args, **kwargs: See `keras.layers.DepthwiseConv2D`.

    Example:
    >>> layer = LargeDepthwiseConv2D(7, padding="same", dilation_rate=3)
    >>> tuple(layer(keras.ops.ones((1, 9, 7, 8)), training=True).shape)
    (1, 9, 7, 8)
    """

    def call(self, inputs, training=False):
        if training and is_tensorflow():
            from keras_frm.backend.tensorflow import depthwise_conv as fast

            if fast.can_convolve(self):
                return self.activation(fast.convolve(self, inputs))  # (B, H, W, C)
        return super().call(inputs)
