"""Pixel-attention-guided fusion: coarse features come in where they agree."""

import keras
from keras import ops

from keras_frm.layers.blocks.conv_block import ConvBlock
from keras_frm.layers.blocks.resizing import resize_like
from keras_frm.layers.composite import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_frm")
class PixelAttentionFusion(CompositeLayer):
    """Blend fine and coarse features by how much they are alike at each pixel.

    Both are embedded; the sigmoid of the embeddings' product is the share of the coarse
    features. The coarse embedding is made before it is resized.

    Args:
        filters: Channels of the embeddings.

    Input: fine features (B, H, W, C) and coarse features (B, h, w, C).
    Output: (B, H, W, C).

    Source: Xu et al., PIDNet, 2023 (arXiv 2206.02066); `PagFM` of its code.

    Example:
    >>> fine, coarse = keras.ops.ones((1, 7, 9, 4)), keras.ops.ones((1, 4, 5, 4))
    >>> tuple(PixelAttentionFusion(2)(fine, coarse).shape)
    (1, 7, 9, 4)
    """

    def __init__(self, filters: int, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.embed_fine, self.embed_coarse = (
            ConvBlock(filters, activation=None, name=name, dtype=self.dtype_policy)
            for name in ("embed_fine", "embed_coarse")
        )

    def build(self, fine_shape, coarse_shape):
        self.embed_fine.build(fine_shape)
        self.embed_coarse.build(coarse_shape)
        self.built = True

    def call(self, fine, coarse, training=False):
        embedded = resize_like(self.embed_coarse(coarse, training=training), fine)
        products = self.embed_fine(fine, training=training) * embedded
        # (B, H, W, filters) -> (B, H, W, 1)
        share = ops.sigmoid(ops.sum(products, axis=-1, keepdims=True))
        coarse = resize_like(coarse, fine)  # (B, H, W, C)
        return fine + share * (coarse - fine)

    def compute_output_shape(self, fine_shape, coarse_shape):
        return tuple(fine_shape)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}
