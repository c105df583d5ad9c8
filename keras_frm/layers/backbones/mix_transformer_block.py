"""One block of the Mix Transformer."""

import keras

from keras_frm.layers.backbones.spatial_reduction_attention import (
    SpatialReductionAttention,
)
from keras_frm.layers.blocks.drop_path import DropPath
from keras_frm.layers.blocks.feed_forward import ConvFeedForward
from keras_frm.layers.composite import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_frm")
class MixTransformerBlock(CompositeLayer):
    """Attention and feed-forward, each after a LayerNorm and in a residual.

    The feed-forward part has a 3x3 convolution, which stands for positions: the zeros
    around the map tell where its border is.

    Args:
        heads: Heads of the attention.
        reduction: See `SpatialReductionAttention`.
        mlp_ratio: Hidden channels of the feed-forward part per input channel.
        drop_path: Probability of dropping each of the two branches for an image.

    Input and output: (B, H, W, C).

    Source: Xie et al., SegFormer, 2021 (arXiv 2105.15203), section 3.1.

    Example:
    >>> block = MixTransformerBlock(heads=2, reduction=2)
    >>> tuple(block(keras.ops.ones((1, 9, 7, 8))).shape)
    (1, 9, 7, 8)
    """

    def __init__(
        self,
        heads: int,
        reduction: int = 1,
        mlp_ratio: int = 4,
        drop_path: float = 0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.heads = heads
        self.reduction = reduction
        self.mlp_ratio = mlp_ratio
        self.drop_path_rate = drop_path
        dtype = self.dtype_policy
        self.norm_1 = _layer_norm("norm_1", dtype)
        self.attention = SpatialReductionAttention(
            heads, reduction, name="attention", dtype=dtype
        )
        self.norm_2 = _layer_norm("norm_2", dtype)
        self.mlp = ConvFeedForward(mlp_ratio, is_linear=True, name="mlp", dtype=dtype)
        self.drop_path = DropPath(drop_path, name="drop_path", dtype=dtype)

    def build(self, input_shape):
        for layer in (self.norm_1, self.attention, self.norm_2, self.mlp):
            layer.build(input_shape)
        self.built = True

    def call(self, x, training=False):
        y = self.attention(self.norm_1(x))
        x = x + self.drop_path(y, training=training)
        y = self.mlp(self.norm_2(x), training=training)
        return x + self.drop_path(y, training=training)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "heads": self.heads,
            "reduction": self.reduction,
            "mlp_ratio": self.mlp_ratio,
            "drop_path": self.drop_path_rate,
        }


def _layer_norm(name, dtype):
    return keras.layers.LayerNormalization(epsilon=1e-6, name=name, dtype=dtype)
