"""RTFormer: two branches of two resolutions, whose last stages are transformers."""

from dataclasses import dataclass

from keras import ops

from keras_frm.layers import (
    BilinearUpsampling,
    ConvBlock,
    DeepAggregationPyramidPooling,
    DualResolutionBlock,
    ResidualStage,
)
from keras_frm.networks.contract import NetworkParts, weighted_layers
from keras_frm.networks.heads import at_image_size, preactivation_head
from keras_frm.networks.stems import normalized_image, residual_stem

# Weight of the old average in a BatchNorm's statistics: a momentum of 0.1 is that in
# Paddle, and that of the new batch in PyTorch.
_MOMENTUM = 0.1


@dataclass(frozen=True)
class RTFormer:
    """A branch at 1/8 for detail, which attends to one at 1/32 for context.

    | network | parameters | with the auxiliary head | multiply-adds at 1024x2048 |
    | --- | ---: | ---: | ---: |
    | rtformer_slim | 5,365,043 | 5,403,398 | 36.58 G, 1.21 G of attention |
    | rtformer_base | 17,765,971 | 17,916,390 | 136.47 G, 2.42 G of attention |

    Images are normalised by ImageNet's mean and standard deviation. Any size will do.
    The attention of the branch for context has learned keys and values, which are
    counted as the convolutions that they are.

    Args:
        width: Channels of the first stage; the others have multiples of it.
        heads: Heads of the attention of the branch for context.
        grid: Rows and columns to which the context is pooled for that for detail.
        injections: Whether stages 4 and 5 end with adding detail to the context.
        context_width: Channels of each branch of the pyramid pooling.
        head_width: Channels of the auxiliary head; the main one has twice as many.
        drop_path_rate: Drop path rate of stages 4 and 5.

    Auxiliary outputs: "high", logits of the branch for detail after stage 3.

    Source: Wang et al., RTFormer, 2022 (arXiv 2210.07124); PaddleSeg.

    Example:
    >>> parts = RTFormer(width=8, grid=2, context_width=8, head_width=8).build(19)
    >>> tuple(parts.network()(ops.ones((1, 45, 64, 3))).shape)
    (1, 45, 64, 19)
    """

    width: int = 32
    heads: int = 8
    grid: int = 12
    injections: tuple[bool, bool] = (True, True)
    context_width: int = 128
    head_width: int = 64
    drop_path_rate: float = 0.2

    def build(
        self,
        num_classes: int,
        *,
        input_shape: tuple[int | None, int | None, int] = (None, None, 3),
        dtype=None,
    ) -> NetworkParts:
        """Return the network's parts: RGB in [0, 255] to logits at the image's size."""
        image, x = normalized_image(input_shape, dtype)
        x = residual_stem(x, self.width, (2, 2), dtype, _MOMENTUM)
        high, low = self._split(x, dtype)
        auxiliary, _ = preactivation_head(
            high, num_classes, self.head_width, "auxiliary", dtype, _MOMENTUM
        )
        high, low = self._transformed(high, low, 4, dtype)
        high, low = self._transformed(high, low, 5, dtype)
        trunk = weighted_layers(image, [high, low])
        context = DeepAggregationPyramidPooling(
            2 * self.width,
            self.context_width,
            momentum=_MOMENTUM,
            name="context",
            dtype=dtype,
        )(low)  # (B, H / 32, W / 32, 2 width)
        context = BilinearUpsampling(name="context_up", dtype=dtype)(context, high)
        x = ops.concatenate([high, context], axis=-1)  # (B, H / 8, W / 8, 4 width)
        logits, features = preactivation_head(
            x, num_classes, 2 * self.head_width, "head", dtype, _MOMENTUM
        )
        return NetworkParts(
            image,
            at_image_size(logits, image),
            features,
            auxiliary={"high": auxiliary},
            groups={
                "backbone": trunk,
                "head": ("context", "head_norm", "head_conv", "classifier"),
            },
            stride=8,
            name="rtformer",
        )

    def _split(self, x, dtype):
        """Run stage 3, after which there are two branches."""
        shared = {"momentum": _MOMENTUM, "dtype": dtype}
        low = ResidualStage(
            4 * self.width, 2, strides=2, activation=None, name="stage_3", **shared
        )(ops.relu(x))  # (B, H / 16, W / 16, 4 width)
        up = ConvBlock(
            2 * self.width, preactivation=True, name="compression_3", **shared
        )(low)
        up = BilinearUpsampling(name="compression_3_up", dtype=dtype)(up, x)
        high = ResidualStage(2 * self.width, 1, name="stage_3_high", **shared)(
            ops.relu(x + up)
        )  # (B, H / 8, W / 8, 2 width)
        return high, low

    def _transformed(self, high, low, index, dtype):
        """Run stage 4 or 5 of both branches."""
        block = DualResolutionBlock(
            8 * self.width,
            self.heads,
            strides=2 if index == 4 else 1,
            grid=self.grid,
            inject=self.injections[index - 4],
            drop_path=self.drop_path_rate,
            momentum=_MOMENTUM,
            name=f"stage_{index}",
            dtype=dtype,
        )
        # (B, H / 8, W / 8, 2 width), (B, H / 32, W / 32, 8 width)
        return block(ops.relu(high), ops.relu(low))


RTFORMER_SLIM = RTFormer()
RTFORMER_BASE = RTFormer(width=64, injections=(True, False), head_width=128)
