"""The convolutional feed-forward block of VAN, of FRM and of SegFormer."""

import keras
from keras import ops

from keras_frm.layers.blocks.gelu import pointwise_of_gelu
from keras_frm.layers.blocks.normalization import (
    conv_initializer,
    linear_initializer,
)
from keras_frm.layers.composite import CompositeLayer

_ACTIVATIONS = ("gelu", "relu")


@keras.saving.register_keras_serializable(package="keras_frm")
class ConvFeedForward(CompositeLayer):
    """1x1 expansion, depthwise 3x3, activation, 1x1 back.

    Args:
        ratio: Hidden channels per input channel.
        activation: "gelu" (exact, VAN, SegFormer) or "relu" (FRM).
        use_bias: Whether the convolutions have biases.
        is_linear: Whether the 1x1 ones start as a transformer's linear layers do
            (SegFormer), not as convolutions.

    Input and output: (B, H, W, C).

    Source: VAN, Guo et al., 2022 (its `Mlp`); the FRM paper's FFN; SegFormer's Mix-FFN.

    Example:
    >>> tuple(ConvFeedForward(4)(keras.ops.ones((1, 5, 7, 8))).shape)
    (1, 5, 7, 8)
    """

    def __init__(
        self,
        ratio: int,
        activation: str = "gelu",
        use_bias: bool = True,
        is_linear: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if activation not in _ACTIVATIONS:
            raise ValueError(
                f"`activation` must be one of {list(_ACTIVATIONS)}. "
                f"Received: {activation!r}"
            )
        self.ratio = ratio
        self.activation = activation
        self.use_bias = use_bias
        self.is_linear = is_linear

    def build(self, input_shape):
        channels = input_shape[-1]
        hidden = channels * self.ratio
        shared = {"use_bias": self.use_bias, "dtype": self.dtype_policy}
        pointwise = linear_initializer if self.is_linear else conv_initializer
        self.expand = keras.layers.Conv2D(
            hidden, 1, kernel_initializer=pointwise(), name="expand", **shared
        )
        self.depthwise = keras.layers.DepthwiseConv2D(
            3,
            padding="same",
            depthwise_initializer=conv_initializer(),
            name="depthwise",
            **shared,
        )
        self.project = keras.layers.Conv2D(
            channels, 1, kernel_initializer=pointwise(), name="project", **shared
        )
        hidden_shape = (*input_shape[:-1], hidden)
        self.expand.build(input_shape)
        self.depthwise.build(hidden_shape)
        self.project.build(hidden_shape)
        self.built = True

    def call(self, x, training=False):
        x = self.depthwise(self.expand(x))  # (B, H, W, ratio * C)
        if self.activation == "gelu":
            return pointwise_of_gelu(x, self.project, training)  # (B, H, W, C)
        return self.project(ops.relu(x))  # (B, H, W, C)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "ratio": self.ratio,
            "activation": self.activation,
            "use_bias": self.use_bias,
            "is_linear": self.is_linear,
        }
