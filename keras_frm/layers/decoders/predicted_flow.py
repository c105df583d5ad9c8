"""What alignments along a flow share: how the flow is predicted."""

import keras
from keras import ops

from keras_frm.backend import Tensor
from keras_frm.layers.blocks.corner_sampling import AlignedUpsampling
from keras_frm.layers.composite import CompositeLayer


class PredictedFlow(CompositeLayer):
    """A field of offsets that two levels predict; a subclass moves features along it.

    Corners are aligned, as in the published module, in the upsampling that feeds the
    flow. It needs gathers: phones run it slowly and no GPU delegate takes it.

    Args:
        filters: Channels both levels are cut to before the flow is predicted.

    Input: fine features (B, H, W, C) and coarse features (B, h, w, C).
    """

    def __init__(self, filters: int, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        shared = {"use_bias": False, "dtype": self.dtype_policy}
        self.cut_fine = keras.layers.Conv2D(filters, 1, name="cut_fine", **shared)
        self.cut_coarse = keras.layers.Conv2D(filters, 1, name="cut_coarse", **shared)
        self.flow = keras.layers.Conv2D(2, 3, padding="same", name="flow", **shared)
        self.upsampling = AlignedUpsampling(name="upsampling", dtype=self.dtype_policy)

    def build(self, fine_shape, coarse_shape):
        self.cut_fine.build(fine_shape)
        self.cut_coarse.build(coarse_shape)
        self.flow.build((*fine_shape[:-1], 2 * self.filters))
        self.upsampling.build((*coarse_shape[:-1], self.filters), fine_shape)
        self.built = True

    def predicted_flow(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """Return the flow at the size of the fine features: (B, H, W, 2)."""
        cut = self.upsampling(self.cut_coarse(coarse), fine)  # (B, H, W, filters)
        cuts = ops.concatenate([cut, self.cut_fine(fine)], axis=-1)
        return self.flow(cuts)  # (B, H, W, 2)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}
