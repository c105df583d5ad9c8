"""The feature pyramid decoder."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_frm.backend import Tensor
from keras_frm.layers.blocks.conv_block import ConvBlock
from keras_frm.layers.blocks.resizing import upsamplings
from keras_frm.layers.composite import CompositeLayer
from keras_frm.layers.decoders.flow_alignment import FlowAlignment

ALIGNMENTS = ("bilinear", "flow")


@keras.saving.register_keras_serializable(package="keras_frm")
class FPNDecoder(CompositeLayer):
    """Merge the context with the three finer stages, top down, at stride 4.

    Lateral 1x1 convolutions (with bias) on the stages, sums from the coarsest down,
    a 3x3 convolution on each sum, all four levels resized to stride 4, concatenated
    and convolved once more.

    Args:
        filters: Channels of every level and of the output.
        alignment: "bilinear" resizing between the levels, or SFNet's "flow".
        align_corners: Whether resizing aligns corners, as the original does; half-pixel
            otherwise. See `FlowAlignment` for the flow's.
        return_levels: Whether the sums come too, for auxiliary heads.

    Input: [stage 1, stage 2, stage 3, context] at strides 4, 8, 16, 32; the context
    has `filters` channels. Output: (B, H / 4, W / 4, filters), or a list of it and of
    the sums at strides 4, 8 and 16, before their convolutions.

    Source: Li et al., Semantic Flow for Fast and Accurate Scene Parsing, 2020,
    figure 3 (`UperNetHead`, `UperNetAlignHead` of its code).

    Example:
    >>> sizes = ((9, 13, 2), (5, 7, 3), (3, 4, 5), (2, 2, 4))
    >>> tuple(FPNDecoder(4)([keras.ops.ones((1, *size)) for size in sizes]).shape)
    (1, 9, 13, 4)
    """

    def __init__(
        self,
        filters: int = 128,
        alignment: str = "bilinear",
        align_corners: bool = False,
        return_levels: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if alignment not in ALIGNMENTS:
            raise ValueError(
                f"There is no alignment '{alignment}'. Choose one of: "
                f"{', '.join(ALIGNMENTS)}"
            )
        self.filters = filters
        self.alignment = alignment
        self.align_corners = align_corners
        self.return_levels = return_levels
        dtype = self.dtype_policy
        self.laterals = [
            ConvBlock(filters, use_bias=True, name=f"lateral_{i + 1}", dtype=dtype)
            for i in range(3)
        ]
        self.smooths = [
            ConvBlock(filters, 3, name=f"smooth_{i + 1}", dtype=dtype) for i in range(3)
        ]
        if alignment == "flow":
            self.flows = [
                FlowAlignment(filters // 2, name=f"flow_{i + 1}", dtype=dtype)
                for i in range(3)
            ]
        else:
            names = [f"up_{i + 1}" for i in range(3)]
            self.level_upsamplings = upsamplings(names, align_corners, dtype)
        names = [f"fuse_up_{i + 1}" for i in range(3)]
        self.upsamplings = upsamplings(names, align_corners, dtype)
        self.fuse = ConvBlock(filters, 3, name="fuse", dtype=dtype)

    def build(self, input_shapes):
        if input_shapes[-1][-1] != self.filters:
            raise ValueError(
                f"The context must have filters={self.filters} channels. "
                f"Received: {input_shapes[-1][-1]}"
            )
        for i, shape in enumerate(input_shapes[:3]):
            level_shape = (*shape[:-1], self.filters)
            self.laterals[i].build(shape)
            self.smooths[i].build(level_shape)
            if self.alignment == "flow":
                self.flows[i].build(level_shape, level_shape)
        self.fuse.build((*input_shapes[0][:-1], 4 * self.filters))
        self.built = True

    def call(self, features, training=False):
        levels = self.top_down(features, training=training)
        smooth = [
            block(level, training=training)
            for block, level in zip(self.smooths, levels, strict=False)
        ]
        finest = smooth[0]
        aligned = [
            upsampling(level, finest)
            for upsampling, level in zip(
                self.upsamplings, (*smooth[1:], levels[3]), strict=True
            )
        ]
        merged = ops.concatenate([finest, *aligned], axis=-1)  # (B, H/4, W/4, 4 C)
        fused = self.fuse(merged, training=training)  # (B, H/4, W/4, C)
        return [fused, *levels[:3]] if self.return_levels else fused

    def top_down(
        self, features: Sequence[Tensor], training: bool = False
    ) -> list[Tensor]:
        """Return the four levels before smoothing, finest first."""
        levels = [features[3]]
        for i in (2, 1, 0):
            lateral = self.laterals[i](features[i], training=training)
            if self.alignment == "flow":
                coarse = self.flows[i](lateral, levels[0])
            else:
                coarse = self.level_upsamplings[i](levels[0], lateral)
            levels.insert(0, lateral + coarse)  # (B, H_i, W_i, C)
        return levels

    def compute_output_shape(self, input_shapes):
        levels = [(*shape[:-1], self.filters) for shape in input_shapes[:3]]
        return [levels[0], *levels] if self.return_levels else levels[0]

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "alignment": self.alignment,
            "align_corners": self.align_corners,
            "return_levels": self.return_levels,
        }
