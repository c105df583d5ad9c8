"""Pyramid pooling module, PSPNet's context block."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_frm.layers.blocks.adaptive_pooling import adaptive_average_pool
from keras_frm.layers.blocks.conv_block import ConvBlock
from keras_frm.layers.blocks.resizing import upsamplings
from keras_frm.layers.composite import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_frm")
class PyramidPooling(CompositeLayer):
    """Average features over grids of several sizes and merge them with the input.

    Args:
        filters: Channels of each branch and of the output.
        bins: Rows and columns of each grid.
        align_corners: Whether resizing aligns corners, as the original does; half-pixel
            otherwise.

    Input: (B, H, W, C). Output: (B, H, W, filters).

    Source: Zhao et al., Pyramid Scene Parsing Network, 2017, as in SFNet: no ReLU in
    the branches.

    Example:
    >>> tuple(PyramidPooling(4)(keras.ops.ones((1, 7, 13, 16))).shape)
    (1, 7, 13, 4)
    """

    def __init__(
        self,
        filters: int = 128,
        bins: Sequence[int] = (1, 2, 3, 6),
        align_corners: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.bins = tuple(bins)
        self.align_corners = align_corners
        self.branches = [
            ConvBlock(
                filters, activation=None, name=f"bin_{b}", dtype=self.dtype_policy
            )
            for b in self.bins
        ]
        names = [f"up_{b}" for b in self.bins]
        self.upsamplings = upsamplings(names, align_corners, self.dtype_policy)
        self.bottleneck = ConvBlock(filters, name="bottleneck", dtype=self.dtype_policy)

    def build(self, input_shape):
        for branch in self.branches:
            branch.build(input_shape)
        merged = input_shape[-1] + len(self.bins) * self.filters
        self.bottleneck.build((*input_shape[:-1], merged))
        self.built = True

    def call(self, x, training=False):
        features = []
        for grid, branch, upsampling in zip(
            self.bins, self.branches, self.upsamplings, strict=True
        ):
            pooled = branch(adaptive_average_pool(x, grid), training=training)
            features.append(upsampling(pooled, x))  # (B, H, W, filters)
        merged = ops.concatenate([*features, x], axis=-1)
        return self.bottleneck(merged, training=training)  # (B, H, W, filters)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "bins": self.bins,
            "align_corners": self.align_corners,
        }
