"""One block of the Visual Attention Network."""

import keras

from keras_frm.layers.backbones.large_kernel_attention import LargeKernelAttention
from keras_frm.layers.blocks.drop_path import DropPath
from keras_frm.layers.blocks.feed_forward import ConvFeedForward
from keras_frm.layers.blocks.gelu import gelu
from keras_frm.layers.blocks.layer_scale import LayerScale
from keras_frm.layers.blocks.normalization import batch_norm, conv_initializer
from keras_frm.layers.composite import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_frm")
class SpatialAttention(CompositeLayer):
    """1x1, GELU, large kernel attention, 1x1, with a shortcut around all of it.

    Input and output: (B, H, W, C).

    Source: VAN, Guo et al., 2022, figure 3.

    Example:
    >>> tuple(SpatialAttention()(keras.ops.ones((1, 9, 7, 8))).shape)
    (1, 9, 7, 8)
    """

    def build(self, input_shape):
        channels = input_shape[-1]
        self.project_in = keras.layers.Conv2D(
            channels,
            1,
            kernel_initializer=conv_initializer(),
            name="project_in",
            dtype=self.dtype_policy,
        )
        self.attention = LargeKernelAttention(name="attention", dtype=self.dtype_policy)
        self.project_out = keras.layers.Conv2D(
            channels,
            1,
            kernel_initializer=conv_initializer(),
            name="project_out",
            dtype=self.dtype_policy,
        )
        for layer in (self.project_in, self.attention, self.project_out):
            layer.build(input_shape)
        self.built = True

    def call(self, x, training=False):
        y = gelu(self.project_in(x), training)
        return x + self.project_out(self.attention(y, training=training))

    def compute_output_shape(self, input_shape):
        return input_shape


@keras.saving.register_keras_serializable(package="keras_frm")
class VANBlock(CompositeLayer):
    """Attention and feed-forward, each after a BatchNorm and in a scaled residual.

    The attention's own shortcut starts at the BatchNorm's output, not at the block's
    input.

    Args:
        mlp_ratio: Hidden channels of the feed-forward part per input channel.
        drop_path: Probability of dropping each of the two branches for an image.
        layer_scale: Starting value of the two layer scales.

    Input and output: (B, H, W, C).

    Source: VAN, Guo et al., 2022, figure 3 and the official `Block`.

    Example:
    >>> tuple(VANBlock(mlp_ratio=4)(keras.ops.ones((1, 9, 7, 8))).shape)
    (1, 9, 7, 8)
    """

    def __init__(
        self,
        mlp_ratio: int,
        drop_path: float = 0.0,
        layer_scale: float = 1e-2,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.mlp_ratio = mlp_ratio
        self.drop_path_rate = drop_path
        self.layer_scale = layer_scale
        dtype = self.dtype_policy
        self.norm_1 = batch_norm("norm_1", dtype)
        self.attention = SpatialAttention(name="attention", dtype=dtype)
        self.scale_1 = LayerScale(layer_scale, name="scale_1", dtype=dtype)
        self.norm_2 = batch_norm("norm_2", dtype)
        self.mlp = ConvFeedForward(mlp_ratio, "gelu", name="mlp", dtype=dtype)
        self.scale_2 = LayerScale(layer_scale, name="scale_2", dtype=dtype)
        self.drop_path = DropPath(drop_path, name="drop_path", dtype=dtype)

    def build(self, input_shape):
        for layer in (
            self.norm_1,
            self.attention,
            self.scale_1,
            self.norm_2,
            self.mlp,
            self.scale_2,
        ):
            layer.build(input_shape)
        self.built = True

    def call(self, x, training=False):
        y = self.norm_1(x, training=training)
        y = self.scale_1(self.attention(y, training=training))
        x = x + self.drop_path(y, training=training)
        y = self.norm_2(x, training=training)
        y = self.scale_2(self.mlp(y, training=training))
        return x + self.drop_path(y, training=training)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "mlp_ratio": self.mlp_ratio,
            "drop_path": self.drop_path_rate,
            "layer_scale": self.layer_scale,
        }
