"""Flow alignment: upsampling that follows a predicted field of offsets."""

import keras
from keras import ops

from keras_frm.layers.blocks.corner_sampling import AlignedUpsampling, FlowWarp
from keras_frm.layers.composite import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_frm")
class FlowAlignment(CompositeLayer):
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
        super().__init__(**kwargs)
        self.filters = filters
        shared = {"use_bias": False, "dtype": self.dtype_policy}
        self.cut_fine = keras.layers.Conv2D(filters, 1, name="cut_fine", **shared)
        self.cut_coarse = keras.layers.Conv2D(filters, 1, name="cut_coarse", **shared)
        self.flow = keras.layers.Conv2D(2, 3, padding="same", name="flow", **shared)
        dtype = self.dtype_policy
        self.upsampling = AlignedUpsampling(name="upsampling", dtype=dtype)
        self.warp = FlowWarp(name="warp", dtype=dtype)

    def build(self, fine_shape, coarse_shape):
        self.cut_fine.build(fine_shape)
        self.cut_coarse.build(coarse_shape)
        self.flow.build((*fine_shape[:-1], 2 * self.filters))
        self.upsampling.build((*coarse_shape[:-1], self.filters), fine_shape)
        self.warp.build(coarse_shape, (*fine_shape[:-1], 2))
        self.built = True

    def call(self, fine, coarse):
        cut = self.upsampling(self.cut_coarse(coarse), fine)  # (B, H, W, filters)
        cuts = ops.concatenate([cut, self.cut_fine(fine)], axis=-1)
        return self.warp(coarse, self.flow(cuts))  # (B, H, W, C)

    def compute_output_shape(self, fine_shape, coarse_shape):
        return (*fine_shape[:-1], coarse_shape[-1])

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}
