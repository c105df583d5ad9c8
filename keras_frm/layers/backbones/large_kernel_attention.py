"""Large kernel attention."""

import keras

from keras_frm.layers.blocks.dilated_depthwise import LargeDepthwiseConv2D
from keras_frm.layers.blocks.normalization import conv_initializer
from keras_frm.layers.composite import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_frm")
class LargeKernelAttention(CompositeLayer):
    """Multiply features with an attention of a 21x21 field made of three convolutions.

    Depthwise 5x5, depthwise 7x7 with dilation 3, 1x1; the result multiplies the input.

    Input and output: (B, H, W, C).

    Source: VAN, Guo et al., 2022, eq. 1-2.

    Example:
    >>> tuple(LargeKernelAttention()(keras.ops.ones((1, 9, 7, 8))).shape)
    (1, 9, 7, 8)
    """

    def build(self, input_shape):
        channels = input_shape[-1]
        self.local = LargeDepthwiseConv2D(
            5,
            padding="same",
            depthwise_initializer=conv_initializer(),
            name="local",
            dtype=self.dtype_policy,
        )
        self.dilated = LargeDepthwiseConv2D(
            7,
            padding="same",
            dilation_rate=3,
            depthwise_initializer=conv_initializer(),
            name="dilated",
            dtype=self.dtype_policy,
        )
        self.pointwise = keras.layers.Conv2D(
            channels,
            1,
            kernel_initializer=conv_initializer(),
            name="pointwise",
            dtype=self.dtype_policy,
        )
        for layer in (self.local, self.dilated, self.pointwise):
            layer.build(input_shape)
        self.built = True

    def call(self, x, training=False):
        y = self.local(x, training=training)
        y = self.dilated(y, training=training)
        return x * self.pointwise(y)

    def compute_output_shape(self, input_shape):
        return input_shape
