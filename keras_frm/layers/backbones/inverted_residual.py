"""The block of MobileNetV2 and of EfficientNet-Lite."""

import keras
from keras import ops

from keras_frm.layers.blocks.drop_path import DropPath
from keras_frm.layers.blocks.normalization import batch_norm, conv_initializer
from keras_frm.layers.composite import CompositeLayer

# Constants of EfficientNet's code.
NORM = {"epsilon": 1e-3, "momentum": 0.99}


@keras.saving.register_keras_serializable(package="keras_frm")
class InvertedResidual(CompositeLayer):
    """1x1 expansion, depthwise convolution, 1x1 projection, with a shortcut.

    Each convolution has a BatchNorm, the first two a ReLU6. The shortcut is there where
    the block keeps the shape.

    Args:
        filters: Output channels.
        kernel_size: Size of the square depthwise kernel.
        strides: Stride of the depthwise convolution.
        expansion: Hidden channels per input channel; 1 for a block without expansion.
        drop_path: Probability of dropping the branch for an image, where there is a
            shortcut.

    Input: (B, H, W, C). Output: (B, ceil(H / strides), ceil(W / strides), filters).

    Source: Sandler et al., MobileNetV2, 2018 (arXiv 1801.04381), figure 3b.

    Example:
    >>> block = InvertedResidual(16, kernel_size=5, strides=2)
    >>> tuple(block(keras.ops.ones((1, 9, 7, 8))).shape)
    (1, 5, 4, 16)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        strides: int = 1,
        expansion: int = 6,
        drop_path: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.expansion = expansion
        self.drop_path_rate = drop_path
        dtype = self.dtype_policy
        self.depthwise = keras.layers.DepthwiseConv2D(
            kernel_size,
            strides=strides,
            padding="same",
            use_bias=False,
            depthwise_initializer=conv_initializer(),
            name="depthwise",
            dtype=dtype,
        )
        self.depthwise_norm = batch_norm("depthwise_norm", dtype, **NORM)
        self.project = _pointwise(filters, "project", dtype)
        self.project_norm = batch_norm("project_norm", dtype, **NORM)
        self.drop_path = DropPath(drop_path, name="drop_path", dtype=dtype)

    def build(self, input_shape):
        channels = input_shape[-1]
        hidden_shape = (*input_shape[:-1], channels * self.expansion)
        self.has_shortcut = self.strides == 1 and channels == self.filters
        if self.expansion > 1:
            self.expand = _pointwise(hidden_shape[-1], "expand", self.dtype_policy)
            self.expand_norm = batch_norm("expand_norm", self.dtype_policy, **NORM)
            self.expand.build(input_shape)
            self.expand_norm.build(hidden_shape)
        self.depthwise.build(hidden_shape)
        strided_shape = self.depthwise.compute_output_shape(hidden_shape)
        self.depthwise_norm.build(strided_shape)
        self.project.build(strided_shape)
        self.project_norm.build(self.compute_output_shape(input_shape))
        self.built = True

    def call(self, x, training=False):
        y = x
        if self.expansion > 1:  # (B, H, W, expansion * C)
            y = ops.relu6(self.expand_norm(self.expand(y), training=training))
        y = self.depthwise(y)  # (B, H / strides, W / strides, ...)
        y = ops.relu6(self.depthwise_norm(y, training=training))
        y = self.project_norm(self.project(y), training=training)  # (..., filters)
        return x + self.drop_path(y, training=training) if self.has_shortcut else y

    def compute_output_shape(self, input_shape):
        shape = self.depthwise.compute_output_shape(input_shape)
        return (*shape[:-1], self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "expansion": self.expansion,
            "drop_path": self.drop_path_rate,
        }


def _pointwise(filters, name, dtype):
    return keras.layers.Conv2D(
        filters,
        1,
        use_bias=False,
        kernel_initializer=conv_initializer(),
        name=name,
        dtype=dtype,
    )
