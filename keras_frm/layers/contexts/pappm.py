"""Parallel aggregation pyramid pooling module, PIDNet's context block."""

import keras
from keras import ops

from keras_frm.layers.contexts.aggregation_pyramid import POOLS, AggregationPyramid


@keras.saving.register_keras_serializable(package="keras_frm")
class ParallelAggregationPyramidPooling(AggregationPyramid):
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
        super().__init__(filters, branch_filters, **kwargs)

    def _make_processes(self):
        groups = len(POOLS)
        self.process = self._block(
            groups * self.branch_filters, 3, "process", groups=groups
        )

    def _build_processes(self, input_shape):
        self.process.build((*input_shape[:-1], len(POOLS) * self.branch_filters))

    def call(self, x, training=False):
        unpooled = self.scales[0](x, training=training)  # (B, H, W, branch)
        pooled = [y + unpooled for y in self._pooled_scales(x, training)]
        pooled = ops.concatenate(pooled, axis=-1)  # (B, H, W, 4 * branch)
        processed = self.process(pooled, training=training)
        return self._compressed([unpooled, processed], x, training)
