"""Flow alignment: upsampling that follows a predicted field of offsets."""

import keras

from keras_frm.layers.blocks.corner_sampling import FlowWarp
from keras_frm.layers.decoders.predicted_flow import PredictedFlow


@keras.saving.register_keras_serializable(package="keras_frm")
class FlowAlignment(PredictedFlow):
    """Upsample deep features along offsets predicted from both levels.

    Corners are aligned, as in the published module, in the upsampling that feeds the
    flow and in the sampling itself. It needs gathers: phones run it slowly and no GPU
    delegate takes it.

    Args:
        filters: Channels both levels are cut to before the flow is predicted.

    Input: fine features (B, H, W, C) and coarse features (B, h, w, C).
    Output: the coarse features warped to (B, H, W, C).

    Source: Li et al., Semantic Flow for Fast and Accurate Scene Parsing, 2020, eq. 3-4.

    Example:
    >>> fine, coarse = keras.ops.ones((1, 7, 9, 4)), keras.ops.ones((1, 4, 5, 4))
    >>> tuple(FlowAlignment(2)(fine, coarse).shape)
    (1, 7, 9, 4)
    """

    def __init__(self, filters: int, **kwargs):
        super().__init__(filters, **kwargs)
        self.warp = FlowWarp(name="warp", dtype=self.dtype_policy)

    def build(self, fine_shape, coarse_shape):
        super().build(fine_shape, coarse_shape)
        self.warp.build(coarse_shape, (*fine_shape[:-1], 2))

    def call(self, fine, coarse):
        return self.warp(coarse, self.predicted_flow(fine, coarse))  # (B, H, W, C)

    def compute_output_shape(self, fine_shape, coarse_shape):
        return (*fine_shape[:-1], coarse_shape[-1])
