"""The transformer block of RTFormer, on two branches of two resolutions."""

import keras

from keras_frm.layers.backbones.cross_resolution_attention import (
    CrossResolutionAttention,
)
from keras_frm.layers.backbones.external_attention import ExternalAttention
from keras_frm.layers.blocks.conv_block import ConvBlock
from keras_frm.layers.blocks.conv_mlp import ConvMLP
from keras_frm.layers.blocks.drop_path import DropPath
from keras_frm.layers.blocks.resizing import resize_like
from keras_frm.layers.composite import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_frm")
class DualResolutionBlock(CompositeLayer):
    """Attention and feed-forward of a coarse branch, then of a fine one that asks it.

    The coarse branch attends to learned keys. What comes of it is added to the fine
    branch, resized, and is what the fine branch attends to. At the end the fine branch
    may be added to the coarse one, by two strided convolutions.

    Args:
        filters: Channels that the coarse branch puts out.
        heads: Heads of the coarse branch's attention.
        strides: Stride of the coarse branch.
        grid: See `CrossResolutionAttention`.
        inject: Whether the coarse branch gets the fine one at the end. It must then be
            a quarter of its size.
        drop_path: Probability of dropping each of the four branches for an image.
        momentum: Weight of the old average in the BatchNorms' statistics.

    Input: fine (B, H, W, C) and coarse (B, h, w, D). Output: a list of fine
    (B, H, W, C) and coarse (B, ceil(h / strides), ceil(w / strides), filters).

    Source: Wang et al., RTFormer, 2022 (arXiv 2210.07124), figure 3; `EABlock` of its
    code in PaddleSeg.

    Example:
    >>> fine, coarse = keras.ops.ones((1, 9, 16, 8)), keras.ops.ones((1, 5, 8, 4))
    >>> block = DualResolutionBlock(16, strides=2, grid=2)
    >>> [tuple(y.shape) for y in block(fine, coarse)]
    [(1, 9, 16, 8), (1, 3, 4, 16)]
    """

    def __init__(
        self,
        filters: int,
        heads: int = 8,
        strides: int = 1,
        grid: int = 12,
        inject: bool = True,
        drop_path: float = 0.0,
        momentum: float = 0.9,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.heads = heads
        self.strides = strides
        self.grid = grid
        self.inject = inject
        self.drop_path_rate = drop_path
        self.momentum = momentum
        shared = {"momentum": momentum, "dtype": self.dtype_policy}
        self.coarse_attention = ExternalAttention(
            filters, heads, strides, name="coarse_attention", **shared
        )
        self.coarse_mlp = ConvMLP(name="coarse_mlp", **shared)
        self.fine_attention = CrossResolutionAttention(
            grid, name="fine_attention", **shared
        )
        self.fine_mlp = ConvMLP(name="fine_mlp", **shared)
        self.drop_path = DropPath(drop_path, name="drop_path", dtype=self.dtype_policy)

    def build(self, fine_shape, coarse_shape):
        new_shape = self.coarse_attention.compute_output_shape(coarse_shape)
        self.shortcut = None
        if self.strides > 1 or coarse_shape[-1] != self.filters:
            self.shortcut = self._block(
                self.filters, "shortcut", activation=None, strides=self.strides
            )
            self.shortcut.build(coarse_shape)
        self.compression = self._block(fine_shape[-1], "compression")
        self.downs = []
        if self.inject:
            self.downs = [
                self._block(filters, f"down_{index}", kernel_size=3, strides=2)
                for index, filters in enumerate((self.filters // 2, self.filters), 1)
            ]
        self.coarse_attention.build(coarse_shape)
        self.coarse_mlp.build(new_shape)
        self.compression.build(new_shape)
        self.fine_attention.build(fine_shape, new_shape)
        self.fine_mlp.build(fine_shape)
        shape = fine_shape
        for down in self.downs:
            down.build(shape)
            shape = down.compute_output_shape(shape)
        self.built = True

    def _block(self, filters, name, **options):
        """Return BatchNorm, mostly a ReLU, and a convolution."""
        return ConvBlock(
            filters,
            preactivation=True,
            momentum=self.momentum,
            name=name,
            dtype=self.dtype_policy,
            **options,
        )

    def call(self, fine, coarse, training=False):
        coarse = self._with_attention(coarse, training)  # (B, h', w', filters)
        up = self.compression(coarse, training=training)  # (B, h', w', C)
        fine = fine + resize_like(up, fine)  # (B, H, W, C)
        y = self.fine_attention(fine, coarse, training=training)
        fine = fine + self.drop_path(y, training=training)
        y = self.fine_mlp(fine, training=training)
        fine = fine + self.drop_path(y, training=training)
        down = fine
        for layer in self.downs:
            down = layer(down, training=training)  # (B, h', w', filters) at the end
        return [fine, coarse + down if self.downs else coarse]

    def _with_attention(self, x, training):
        """Run attention and feed-forward of the coarse branch."""
        y = self.coarse_attention(x, training=training)
        if self.shortcut is not None:
            x = self.shortcut(x, training=training)
        x = x + self.drop_path(y, training=training)
        y = self.coarse_mlp(x, training=training)
        return x + self.drop_path(y, training=training)

    def compute_output_shape(self, fine_shape, coarse_shape):
        return [fine_shape, self.coarse_attention.compute_output_shape(coarse_shape)]

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "heads": self.heads,
            "strides": self.strides,
            "grid": self.grid,
            "inject": self.inject,
            "drop_path": self.drop_path_rate,
            "momentum": self.momentum,
        }
