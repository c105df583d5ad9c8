"""Parallel aggregation pyramid pooling module, PIDNet's context block."""

import keras
from keras import ops

from keras_frm.layers.blocks.conv_block import ConvBlock
from keras_frm.layers.blocks.resizing import resize_like
from keras_frm.layers.composite import CompositeLayer
from keras_frm.layers.contexts.average_pools import POOLS, average_pool


@keras.saving.register_keras_serializable(package="keras_frm")
class ParallelAggregationPyramidPooling(CompositeLayer):
    """Pool at rising scales, each added to the unpooled one, and convolve all at once.

    DAPPM adds each scale to the one before it and has to wait for it; here one
    convolution, in a group for each scale, takes the place of its four.

    Args:
        filters: Output channels.
        branch_filters: Channels of each branch.

    Input: (B, H, W, C). Output: (B, H, W, filters).

    Source: Xu et al., PIDNet, 2023 (arXiv 2206.02066); `PAPPM` of its code. Zeros
    of the padding count in the averages, as in DAPPM.

    Example:
    >>> layer = ParallelAggregationPyramidPooling(4, 8)
    >>> tuple(layer(keras.ops.ones((1, 7, 13, 16))).shape)
    (1, 7, 13, 4)
    """

    def __init__(self, filters: int = 128, branch_filters: int = 96, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.branch_filters = branch_filters
        self.scales = [
            self._block(branch_filters, 1, f"scale_{i}") for i in range(len(POOLS) + 1)
        ]
        self.process = self._block(
            len(POOLS) * branch_filters, 3, "process", groups=len(POOLS)
        )
        self.compression = self._block(filters, 1, "compression")
        self.shortcut = self._block(filters, 1, "shortcut")

    def _block(self, filters, kernel_size, name, groups=1):
        """Return BatchNorm, ReLU, convolution."""
        return ConvBlock(
            filters,
            kernel_size,
            preactivation=True,
            groups=groups,
            name=name,
            dtype=self.dtype_policy,
        )

    def build(self, input_shape):
        for scale in self.scales:
            scale.build(input_shape)
        self.process.build((*input_shape[:-1], len(POOLS) * self.branch_filters))
        merged = len(self.scales) * self.branch_filters
        self.compression.build((*input_shape[:-1], merged))
        self.shortcut.build(input_shape)
        self.built = True

    def call(self, x, training=False):
        unpooled = self.scales[0](x, training=training)  # (B, H, W, branch)
        pooled = [
            resize_like(scale(average_pool(x, pool), training=training), x) + unpooled
            for pool, scale in zip(POOLS, self.scales[1:], strict=True)
        ]
        pooled = ops.concatenate(pooled, axis=-1)  # (B, H, W, 4 * branch)
        processed = self.process(pooled, training=training)
        # (B, H, W, 5 * branch)
        merged = ops.concatenate([unpooled, processed], axis=-1)
        merged = self.compression(merged, training=training)
        return merged + self.shortcut(x, training=training)  # (B, H, W, filters)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "branch_filters": self.branch_filters,
        }
