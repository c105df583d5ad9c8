"""The feed-forward block of RTFormer: plain convolutions."""

import keras

from keras_frm.layers.blocks.gelu import gelu
from keras_frm.layers.blocks.normalization import batch_norm, conv_initializer
from keras_frm.layers.composite import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_frm")
class ConvMLP(CompositeLayer):
    """BatchNorm, 3x3, exact GELU, 3x3, all of the input's channels.

    A plain 3x3 convolution takes the place of a transformer's expansion: on a GPU it
    costs less than a wide 1x1 pair with a depthwise convolution between.

    Args:
        momentum: Weight of the old average in the BatchNorm's statistics.

    Input and output: (B, H, W, C).

    Source: Wang et al., RTFormer, 2022 (arXiv 2210.07124), section 3.2; `MLP` of its
    code in PaddleSeg, with its epsilon of 1e-6.

    Example:
    >>> tuple(ConvMLP()(keras.ops.ones((1, 5, 7, 8))).shape)
    (1, 5, 7, 8)
    """

    def __init__(self, momentum: float = 0.9, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum

    def build(self, input_shape):
        self.norm = batch_norm("norm", self.dtype_policy, 1e-6, self.momentum)
        self.conv_1 = self._conv(input_shape[-1], "conv_1")
        self.conv_2 = self._conv(input_shape[-1], "conv_2")
        for layer in (self.norm, self.conv_1, self.conv_2):
            layer.build(input_shape)
        self.built = True

    def _conv(self, filters, name):
        return keras.layers.Conv2D(
            filters,
            3,
            padding="same",
            kernel_initializer=conv_initializer(),
            name=name,
            dtype=self.dtype_policy,
        )

    def call(self, x, training=False):
        x = self.conv_1(self.norm(x, training=training))
        return self.conv_2(gelu(x, training))  # (B, H, W, C)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum}
