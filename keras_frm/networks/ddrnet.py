"""DDRNet: two branches of two resolutions that exchange their features."""

from dataclasses import dataclass

from keras import ops

from keras_frm.layers import (
    BilinearUpsampling,
    ConvBlock,
    DeepAggregationPyramidPooling,
    ResidualBlock,
    ResidualStage,
)
from keras_frm.networks.contract import NetworkParts, weighted_layers
from keras_frm.networks.heads import at_image_size, preactivation_head
from keras_frm.networks.stems import normalized_image, residual_stem


@dataclass(frozen=True)
class DDRNet:
    """A branch at 1/8 for detail beside one down to 1/64 for context.

    | network | parameters | with the auxiliary head | multiply-adds at 1024x2048 |
    | --- | ---: | ---: | ---: |
    | ddrnet_23_slim | 5,695,987 | 5,734,342 | 36.28 G |
    | ddrnet_23 | 20,148,947 | 20,299,366 | 143.06 G |
    | ddrnet_39 | 32,360,275 | 32,660,838 | 281.12 G |

    Images are normalised by ImageNet's mean and standard deviation. Sizes round up, so
    any size will do; the original wants multiples of 8, where both are the same.

    Args:
        width: Channels of the first stage; the others have multiples of it.
        depths: Blocks of stages 1 to 4, of the branch of low resolution.
        high_depth: Blocks of each stage of the branch of high resolution.
        exchanges: Parts of stage 3, after each of which the branches exchange.
        context_width: Channels of each branch of the pyramid pooling.
        head_width: Channels of the head.

    Auxiliary outputs: "high", logits of the branch of high resolution after stage 3.

    Source: Hong et al., Deep Dual-resolution Networks, 2021 (arXiv 2101.06085);
    ydhongHIT/DDRNet.

    Example:
    >>> parts = DDRNet(width=8, context_width=8, head_width=8).build(19)
    >>> tuple(parts.network()(ops.ones((1, 45, 64, 3))).shape)
    (1, 45, 64, 19)
    """

    width: int = 32
    depths: tuple[int, int, int, int] = (2, 2, 2, 2)
    high_depth: int = 2
    exchanges: int = 1
    context_width: int = 128
    head_width: int = 64

    def build(
        self,
        num_classes: int,
        *,
        input_shape: tuple[int | None, int | None, int] = (None, None, 3),
        dtype=None,
    ) -> NetworkParts:
        """Return the network's parts: RGB in [0, 255] to logits at the image's size."""
        image, x = normalized_image(input_shape, dtype)
        # (B, H / 8, W / 8, 2 width)
        low = residual_stem(x, self.width, self.depths[:2], dtype)
        high = low
        for index in range(1, self.exchanges + 1):
            name = "3" if self.exchanges == 1 else f"3_{index}"
            strides = 2 if index == 1 else 1
            depth = self.depths[2] // self.exchanges
            low, high = self._stage(low, high, name, 4, depth, strides, dtype)
        auxiliary, _ = preactivation_head(
            high, num_classes, self.head_width, "auxiliary", dtype
        )
        low, high = self._stage(low, high, "4", 8, self.depths[3], 2, dtype)
        high = ResidualBlock(
            4 * self.width,
            activation=None,
            bottleneck=True,
            name="stage_5_high",
            dtype=dtype,
        )(ops.relu(high))  # (B, H / 8, W / 8, 4 width)
        low = ResidualBlock(
            16 * self.width,
            strides=2,
            activation=None,
            bottleneck=True,
            name="stage_5",
            dtype=dtype,
        )(ops.relu(low))  # (B, H / 64, W / 64, 16 width)
        trunk = weighted_layers(image, [high, low])
        context = DeepAggregationPyramidPooling(
            4 * self.width, self.context_width, name="context", dtype=dtype
        )(low)
        context = BilinearUpsampling(name="context_up", dtype=dtype)(context, high)
        x = high + context  # (B, H / 8, W / 8, 4 width)
        logits, features = preactivation_head(
            x, num_classes, self.head_width, "head", dtype
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
            name="ddrnet",
        )

    def _stage(self, low, high, name, factor, depth, strides, dtype):
        """Run a stage of both branches and exchange their features.

        Each branch gets what the other one had before the exchange.
        """
        width = self.width
        low, high = ops.relu(low), ops.relu(high)
        low = _residual_stage(
            low, factor * width, depth, strides, f"stage_{name}", dtype
        )
        high = _residual_stage(
            high, 2 * width, self.high_depth, 1, f"stage_{name}_high", dtype
        )
        down = ops.relu(high)
        # From 1/8 to the size of the low branch: one convolution for each halving.
        halvings = 1 if factor == 4 else 2
        for index in range(1, halvings + 1):
            last = index == halvings
            down = ConvBlock(
                factor * width if last else 4 * width,
                3,
                activation=None if last else "relu",
                strides=2,
                name=f"down_{name}_{index}",
                dtype=dtype,
            )(down)
        up = ConvBlock(
            2 * width, activation=None, name=f"compression_{name}", dtype=dtype
        )(ops.relu(low))
        up = BilinearUpsampling(name=f"compression_{name}_up", dtype=dtype)(up, high)
        return low + down, high + up


def _residual_stage(x, filters, depth, strides, name, dtype):
    """Run blocks of which the last one has no ReLU."""
    stage = ResidualStage(
        filters, depth, strides, activation=None, name=name, dtype=dtype
    )
    return stage(x)


DDRNET_23_SLIM = DDRNet()
DDRNET_23 = DDRNet(width=64, head_width=128)
DDRNET_39 = DDRNet(
    width=64, depths=(3, 4, 6, 3), high_depth=3, exchanges=2, head_width=256
)
