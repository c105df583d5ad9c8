"""The residual blocks of ResNet, and a stage of them."""

import keras
from keras import ops

from keras_frm.layers.blocks.conv_block import ConvBlock
from keras_frm.layers.composite import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_frm")
class ResidualBlock(CompositeLayer):
    """Convolutions beside a shortcut: two 3x3, or 1x1, 3x3 and 1x1.

    The first 3x3 convolution has the stride. The shortcut is a 1x1 convolution with a
    BatchNorm where the shape changes.

    Args:
        filters: Output channels.
        strides: Stride of the block.
        activation: "relu" or None, after the sum.
        bottleneck: Whether three convolutions work on half of the channels, in the
            place of two on all of them.
        dilation_rate: Distance of the last 3x3 convolution's taps.
        momentum: See `ConvBlock`.

    Input: (B, H, W, C). Output: (B, ceil(H / strides), ceil(W / strides), filters).

    Source: He et al., Deep Residual Learning, 2015 (arXiv 1512.03385), figure 5; with
    an expansion of 2 as DDRNet and PIDNet have it.

    Example:
    >>> tuple(ResidualBlock(16, strides=2)(keras.ops.ones((1, 5, 8, 4))).shape)
    (1, 3, 4, 16)
    """

    def __init__(
        self,
        filters: int,
        strides: int = 1,
        activation: str | None = "relu",
        bottleneck: bool = False,
        dilation_rate: int = 1,
        momentum: float = 0.9,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = strides
        self.activation = activation
        self.bottleneck = bottleneck
        self.dilation_rate = dilation_rate
        self.momentum = momentum
        strided, dilated = {"strides": strides}, {"dilation_rate": dilation_rate}
        if bottleneck:
            options = [
                {"filters": filters // 2},
                {"filters": filters // 2, "kernel_size": 3, **strided, **dilated},
                {"filters": filters, "activation": None},
            ]
        else:
            options = [
                {"filters": filters, "kernel_size": 3, **strided},
                {"filters": filters, "kernel_size": 3, "activation": None, **dilated},
            ]
        self.blocks = [
            ConvBlock(
                **block,
                momentum=momentum,
                name=f"conv_{index}",
                dtype=self.dtype_policy,
            )
            for index, block in enumerate(options, 1)
        ]

    def build(self, input_shape):
        shape = input_shape
        for block in self.blocks:
            block.build(shape)
            shape = block.compute_output_shape(shape)
        self.shortcut = None
        if self.strides > 1 or input_shape[-1] != self.filters:
            self.shortcut = ConvBlock(
                self.filters,
                activation=None,
                strides=self.strides,
                momentum=self.momentum,
                name="shortcut",
                dtype=self.dtype_policy,
            )
            self.shortcut.build(input_shape)
        self.built = True

    def call(self, x, training=False):
        y = x
        for block in self.blocks:
            y = block(y, training=training)
        if self.shortcut is not None:
            x = self.shortcut(x, training=training)
        return ops.relu(y + x) if self.activation else y + x  # (B, H', W', filters)

    def compute_output_shape(self, input_shape):
        for block in self.blocks:
            input_shape = block.compute_output_shape(input_shape)
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "strides": self.strides,
            "activation": self.activation,
            "bottleneck": self.bottleneck,
            "dilation_rate": self.dilation_rate,
            "momentum": self.momentum,
        }


@keras.saving.register_keras_serializable(package="keras_frm")
class ResidualStage(CompositeLayer):
    """Residual blocks one after the other; the first one has the stride.

    Args:
        filters: Output channels of every block.
        depth: Number of blocks.
        strides: Stride of the first block.
        activation: "relu" or None, after the last block; the others have a ReLU.
        dilation_rate: See `ResidualBlock`.
        momentum: See `ConvBlock`.

    Input: (B, H, W, C). Output: (B, ceil(H / strides), ceil(W / strides), filters).

    Example:
    >>> tuple(ResidualStage(8, depth=2)(keras.ops.ones((1, 5, 7, 4))).shape)
    (1, 5, 7, 8)
    """

    def __init__(
        self,
        filters: int,
        depth: int,
        strides: int = 1,
        activation: str | None = "relu",
        dilation_rate: int = 1,
        momentum: float = 0.9,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.depth = depth
        self.strides = strides
        self.activation = activation
        self.dilation_rate = dilation_rate
        self.momentum = momentum
        self.blocks = [
            ResidualBlock(
                filters,
                strides if index == 0 else 1,
                activation if index == depth - 1 else "relu",
                dilation_rate=dilation_rate,
                momentum=momentum,
                name=f"block_{index + 1}",
                dtype=self.dtype_policy,
            )
            for index in range(depth)
        ]

    def build(self, input_shape):
        for block in self.blocks:
            block.build(input_shape)
            input_shape = block.compute_output_shape(input_shape)
        self.built = True

    def call(self, x, training=False):
        for block in self.blocks:
            x = block(x, training=training)
        return x

    def compute_output_shape(self, input_shape):
        return self.blocks[0].compute_output_shape(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "depth": self.depth,
            "strides": self.strides,
            "activation": self.activation,
            "dilation_rate": self.dilation_rate,
            "momentum": self.momentum,
        }
