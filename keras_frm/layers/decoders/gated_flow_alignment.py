"""Gated flow alignment: either of two levels moves along a flow that it scales."""

import keras

from keras_frm.layers.blocks.corner_sampling import AlignedUpsampling, FlowWarp
from keras_frm.layers.decoders.predicted_flow import PredictedFlow

MOVES = ("coarse", "fine")


@keras.saving.register_keras_serializable(package="keras_frm")
class GatedFlowAlignment(PredictedFlow):
    """Move the features of one of two levels along offsets predicted from both.

    A gate in (0, 1), made of the features that move, multiplies both coordinates of the
    flow. The ends of the sampling are the outer edges of the features, as in the
    published module, so that a flow of zero is not the identity; the upsampling of flow
    and gate aligns corners.

    Args:
        filters: Channels both levels are cut to before the flow is predicted.
        moves: "coarse" or "fine", the level whose features move.

    Input: fine features (B, H, W, C) and coarse features (B, h, w, D).
    Output: those of one level, at the size of the fine ones: (B, H, W, C or D).

    Raises:
        ValueError: There is no such level.

    Source: Wu et al., Fast and Accurate Scene Parsing via Bi-direction Alignment
    Networks, 2021 (arXiv 2105.11651), its gated flow alignment module.

    Example:
    >>> fine, coarse = keras.ops.ones((1, 7, 9, 4)), keras.ops.ones((1, 4, 5, 6))
    >>> for moves in MOVES:
    ...     tuple(GatedFlowAlignment(2, moves)(fine, coarse).shape)
    (1, 7, 9, 6)
    (1, 7, 9, 4)
    """

    def __init__(self, filters: int, moves: str = "coarse", **kwargs):
        super().__init__(filters, **kwargs)
        if moves not in MOVES:
            raise ValueError(
                f"`moves` must be one of: {', '.join(MOVES)}. Received: {moves!r}"
            )
        self.moves = moves
        dtype = self.dtype_policy
        self.gate = keras.layers.Conv2D(
            2, 1, activation="sigmoid", name="gate", dtype=dtype
        )
        # The fine level's gate has the size of the flow already.
        self.gate_upsampling = None
        if moves == "coarse":
            self.gate_upsampling = AlignedUpsampling(
                name="gate_upsampling", dtype=dtype
            )
        self.warp = FlowWarp(align_corners=False, name="warp", dtype=dtype)

    def build(self, fine_shape, coarse_shape):
        super().build(fine_shape, coarse_shape)
        moved_shape = coarse_shape if self.moves == "coarse" else fine_shape
        self.gate.build(moved_shape)
        if self.gate_upsampling is not None:
            self.gate_upsampling.build((*moved_shape[:-1], 2), fine_shape)
        self.warp.build(moved_shape, (*fine_shape[:-1], 2))

    def call(self, fine, coarse):
        moved = coarse if self.moves == "coarse" else fine
        gate = self.gate(moved)  # (B, h, w, 2), or (B, H, W, 2)
        if self.gate_upsampling is not None:
            gate = self.gate_upsampling(gate, fine)  # (B, H, W, 2)
        flow = self.predicted_flow(fine, coarse) * gate  # (B, H, W, 2)
        return self.warp(moved, flow)  # (B, H, W, C or D)

    def compute_output_shape(self, fine_shape, coarse_shape):
        moved_shape = coarse_shape if self.moves == "coarse" else fine_shape
        return (*fine_shape[:-1], moved_shape[-1])

    def get_config(self):
        return {**super().get_config(), "moves": self.moves}
