"""Deep aggregation pyramid pooling module, DDRNet's context block."""

import keras

from keras_frm.layers.contexts.aggregation_pyramid import POOLS, AggregationPyramid


@keras.saving.register_keras_serializable(package="keras_frm")
class DeepAggregationPyramidPooling(AggregationPyramid):
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
        super().__init__(filters, branch_filters, **kwargs)

    def _make_processes(self):
        self.processes = [
            self._block(self.branch_filters, 3, f"process_{i + 1}")
            for i in range(len(POOLS))
        ]

    def _build_processes(self, input_shape):
        for process in self.processes:
            process.build((*input_shape[:-1], self.branch_filters))

    def call(self, x, training=False):
        branches = [self.scales[0](x, training=training)]  # (B, H, W, branch)
        scales = self._pooled_scales(x, training)
        for process, y in zip(self.processes, scales, strict=True):
            branches.append(process(y + branches[-1], training=training))
        return self._compressed(branches, x, training)  # (B, H, W, filters)
