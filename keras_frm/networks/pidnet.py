"""PIDNet: three branches, for detail, for context and for boundaries."""

from dataclasses import dataclass

from keras import ops

from keras_frm.layers import (
    BilinearUpsampling,
    BoundaryAttentionFusion,
    ConvBlock,
    DeepAggregationPyramidPooling,
    LightBoundaryAttentionFusion,
    ParallelAggregationPyramidPooling,
    PixelAttentionFusion,
    ResidualBlock,
    ResidualStage,
)
from keras_frm.networks.contract import NetworkParts, weighted_layers
from keras_frm.networks.heads import at_image_size, preactivation_head
from keras_frm.networks.stems import normalized_image, residual_stem


@dataclass(frozen=True)
class PIDNet:
    """A branch for detail and one for boundaries at 1/8, beside context down to 1/64.

    | network | parameters | with the auxiliary heads | multiply-adds at 1024x2048 |
    | --- | ---: | ---: | ---: |
    | pidnet_s | 7,625,715 | 7,720,935 | 47.19 G |
    | pidnet_m | 28,538,515 | 28,763,111 | 177.33 G |
    | pidnet_l | 36,939,571 | 37,314,311 | 274.93 G |

    The names stand for proportional, integral and derivative: P is the branch for
    detail, I that for context and D that for boundaries.

    Images are normalised by ImageNet's mean and standard deviation. Sizes round up, so
    any size will do; the original wants multiples of 8, where both are the same.

    Args:
        width: Channels of the first stage; the others have multiples of it.
        depth: Blocks of stages 1 and 2, and of each stage of the branch for detail.
        context_depth: Blocks of stages 3 and 4 of the branch for context.
        context_width: Channels of each branch of the pyramid pooling.
        head_width: Channels of the head.
        light: True for S and M: a narrow branch for boundaries, pyramid pooling in
            parallel and the light fusion. False for L.

    Auxiliary outputs: "p", logits of the branch for detail after stage 3, and "d", the
    logit of a boundary (one channel) of the branch for boundaries after stage 4.

    Source: Xu et al., PIDNet, 2023 (arXiv 2206.02066); XuJiacong/PIDNet.

    Example:
    >>> parts = PIDNet(width=8, context_width=8, head_width=8).build(19)
    >>> tuple(parts.network()(ops.ones((1, 45, 64, 3))).shape)
    (1, 45, 64, 19)
    """

    width: int = 32
    depth: int = 2
    context_depth: int = 3
    context_width: int = 96
    head_width: int = 128
    light: bool = True

    def build(
        self,
        num_classes: int,
        *,
        input_shape: tuple[int | None, int | None, int] = (None, None, 3),
        dtype=None,
    ) -> NetworkParts:
        """Return the network's parts: RGB in [0, 255] to logits at the image's size."""
        image, x = normalized_image(input_shape, dtype)
        x = ops.relu(residual_stem(x, self.width, (self.depth, self.depth), dtype))
        branches = self._stage((x, x, x), 3, dtype)
        logits_p, _ = preactivation_head(
            branches[0], num_classes, self.head_width, "auxiliary_p", dtype
        )
        branches = self._stage(branches, 4, dtype)
        logit_d, _ = preactivation_head(
            branches[2], 1, self.width, "auxiliary_d", dtype
        )
        branches = self._last_stage(branches, dtype)
        trunk = weighted_layers(image, list(branches))
        x = self._fused(branches, dtype)  # (B, H / 8, W / 8, 4 width)
        logits, features = preactivation_head(
            x, num_classes, self.head_width, "head", dtype
        )
        return NetworkParts(
            image,
            at_image_size(logits, image),
            features,
            auxiliary={"p": logits_p, "d": logit_d},
            groups={
                "backbone": trunk,
                "head": ("context", "fusion", "head_norm", "head_conv", "classifier"),
            },
            stride=8,
            name="pidnet",
        )

    def _stage(self, branches, index, dtype):
        """Run stage 3 or 4 of all branches; the context guides the other two."""
        detail, context, boundary = branches
        context = ResidualStage(
            2 ** (index - 1) * self.width,
            self.context_depth,
            strides=2,
            activation=None,
            name=f"stage_{index}",
            dtype=dtype,
        )(context)  # (B, H / 16, W / 16, 4 width), then (B, H / 32, W / 32, 8 width)
        context = ops.relu(context)
        detail = ResidualStage(
            2 * self.width,
            self.depth,
            activation=None,
            name=f"stage_{index}_detail",
            dtype=dtype,
        )(detail)  # (B, H / 8, W / 8, 2 width)
        boundary = self._boundary_block(index, dtype)(boundary)
        detail = self._with_agreeing(detail, context, index, dtype)
        boundary = self._with_difference(boundary, context, index, dtype)
        return ops.relu(detail), context, ops.relu(boundary)

    def _with_agreeing(self, detail, context, index, dtype):
        """Let context into the detail, where the two agree."""
        context = ConvBlock(
            2 * self.width, activation=None, name=f"compression_{index}", dtype=dtype
        )(context)
        fusion = PixelAttentionFusion(
            self.width, name=f"attention_{index}", dtype=dtype
        )
        return fusion(detail, context)  # (B, H / 8, W / 8, 2 width)

    def _with_difference(self, boundary, context, index, dtype):
        """Add what a convolution finds in the context to the boundaries."""
        difference = ConvBlock(
            boundary.shape[-1],
            3,
            activation=None,
            name=f"difference_{index}",
            dtype=dtype,
        )(context)
        upsampling = BilinearUpsampling(name=f"difference_{index}_up", dtype=dtype)
        return boundary + upsampling(difference, boundary)

    def _boundary_block(self, index, dtype):
        """Return the one block of the branch for boundaries in stage 3 or 4."""
        is_narrow = self.light and index == 3
        # By this name the checkpoints' keys of S and M are told from those of L.
        kind = "" if self.light else "_wide"
        return ResidualBlock(
            self.width if is_narrow else 2 * self.width,
            activation=None,
            bottleneck=self.light and index == 4,
            name=f"stage_{index}_boundary{kind}",
            dtype=dtype,
        )

    def _last_stage(self, branches, dtype):
        """Run the bottlenecks of stage 5, whose ends have no ReLU."""
        detail, context, boundary = branches

        def block(factor, name, strides=1):
            return ResidualBlock(
                factor * self.width,
                strides,
                activation=None,
                bottleneck=True,
                name=name,
                dtype=dtype,
            )

        detail = block(4, "stage_5_detail")(detail)  # (B, H / 8, W / 8, 4 width)
        boundary = block(4, "stage_5_boundary")(boundary)
        context = block(16, "stage_5_1", strides=2)(context)
        context = block(16, "stage_5_2")(context)  # (B, H / 64, W / 64, 16 width)
        return detail, context, boundary

    def _fused(self, branches, dtype):
        """Pool the context and fuse it with the others, as the boundaries tell."""
        detail, context, boundary = branches
        pooling, fusion = DeepAggregationPyramidPooling, BoundaryAttentionFusion
        if self.light:
            pooling = ParallelAggregationPyramidPooling
            fusion = LightBoundaryAttentionFusion
        width = 4 * self.width
        pool = pooling(width, self.context_width, name="context", dtype=dtype)
        upsampling = BilinearUpsampling(name="context_up", dtype=dtype)
        fuse = fusion(width, name="fusion", dtype=dtype)
        return fuse(detail, upsampling(pool(context), detail), boundary)


PIDNET_S = PIDNet()
PIDNET_M = PIDNet(width=64)
PIDNET_L = PIDNet(
    width=64,
    depth=3,
    context_depth=4,
    context_width=112,
    head_width=256,
    light=False,
)
