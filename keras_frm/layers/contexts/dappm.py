"""Deep aggregation pyramid pooling module, DDRNet's context block."""

import keras
from keras import ops

from keras_frm.layers.blocks.conv_block import ConvBlock
from keras_frm.layers.blocks.resizing import resize_like
from keras_frm.layers.composite import CompositeLayer
from keras_frm.layers.contexts.average_pools import POOLS, average_pool


@keras.saving.register_keras_serializable(package="keras_frm")
class DeepAggregationPyramidPooling(CompositeLayer):
    """Pool at rising scales, each added to the scale before it and convolved.

    Args:
        filters: Output channels.
        branch_filters: Channels of each branch.

    Input: (B, H, W, C). Output: (B, H, W, filters).

    Source: Hong et al., Deep Dual-resolution Networks, 2021, figure 5. Zeros of the
    padding count in the averages, as there.

    Example:
    >>> tuple(DeepAggregationPyramidPooling(4, 8)(keras.ops.ones((1, 7, 13, 16))).shape)
    (1, 7, 13, 4)
    """

    def __init__(self, filters: int = 128, branch_filters: int = 128, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.branch_filters = branch_filters
        self.scales = [
            self._block(branch_filters, 1, f"scale_{i}") for i in range(len(POOLS) + 1)
        ]
        self.processes = [
            self._block(branch_filters, 3, f"process_{i + 1}")
            for i in range(len(POOLS))
        ]
        self.compression = self._block(filters, 1, "compression")
        self.shortcut = self._block(filters, 1, "shortcut")

    def _block(self, filters, kernel_size, name):
        """Return BatchNorm, ReLU, convolution."""
        return ConvBlock(
            filters,
            kernel_size,
            preactivation=True,
            name=name,
            dtype=self.dtype_policy,
        )

    def build(self, input_shape):
        branch_shape = (*input_shape[:-1], self.branch_filters)
        for scale in self.scales:
            scale.build(input_shape)
        for process in self.processes:
            process.build(branch_shape)
        merged = self.branch_filters * len(self.scales)
        self.compression.build((*input_shape[:-1], merged))
        self.shortcut.build(input_shape)
        self.built = True

    def call(self, x, training=False):
        branches = [self.scales[0](x, training=training)]  # (B, H, W, branch)
        for pool, scale, process in zip(
            POOLS, self.scales[1:], self.processes, strict=True
        ):
            y = scale(average_pool(x, pool), training=training)
            y = resize_like(y, x) + branches[-1]
            branches.append(process(y, training=training))
        merged = ops.concatenate(branches, axis=-1)  # (B, H, W, 5 * branch)
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
