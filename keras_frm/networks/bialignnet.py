"""BiAlignNet: a branch for context and one for detail that align to each other."""

from dataclasses import dataclass

import keras
from keras import ops

from keras_frm.layers import (
    ConvBlock,
    DepthToSpace,
    DFNet,
    GatedFlowAlignment,
    PyramidPooling,
)
from keras_frm.networks.contract import NetworkParts
from keras_frm.networks.heads import at_image_size, classifier
from keras_frm.networks.stems import normalized_image

_STRIDE = 8
_DROPOUT = 0.1


@dataclass(frozen=True)
class BiAlignNet:
    """Context of DFNet2 and a shallow branch for detail, each moved to fit the other.

    | network | parameters | with the auxiliary heads | multiply-adds at 1024x2048 |
    | --- | ---: | ---: | ---: |
    | bialignnet_df2 | 18,901,412 | 18,986,762 | 115.91 G |

    The logits of 8x8 pixels are channels of one position at 1/8.

    Images are normalised by ImageNet's mean and standard deviation. Any size will do.

    Args:
        widths: Channels of the backbone at strides 4, 8, 16 and 32.
        depths: Blocks of the backbone's stages, see `DFNet`.
        spatial_width: Channels of the first three convolutions of the branch for
            detail, and of the head for edges.
        width: Channels of the context and of the detail where they meet; the head has
            twice as many.
        align_corners: Whether features and logits are resized with the corners aligned,
            as the original does; half-pixel otherwise, which phones have a kernel for.
            The flow alignment aligns them in any case.

    Auxiliary outputs: "edge", the logit of a boundary at the size of a multiple of 8
    (one channel), of the moved detail; "stride_8" and "stride_16", logits of the
    backbone's features there.

    Source: Wu et al., Fast and Accurate Scene Parsing via Bi-direction Alignment
    Networks, 2021 (arXiv 2105.11651); jojacola/BiAlignNet.

    Example:
    >>> network = BiAlignNet((8, 8, 8, 8), ((1, 1),) * 3, spatial_width=8, width=8)
    >>> parts = network.build(19)
    >>> tuple(parts.network()(keras.ops.ones((1, 45, 64, 3))).shape)
    (1, 45, 64, 19)
    """

    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    depths: tuple[tuple[int, int], ...] = ((2, 1), (10, 1), (4, 2))
    spatial_width: int = 64
    width: int = 128
    align_corners: bool = False

    def build(
        self,
        num_classes: int,
        *,
        input_shape: tuple[int | None, int | None, int] = (None, None, 3),
        dtype=None,
    ) -> NetworkParts:
        """Return the network's parts: RGB in [0, 255] to logits at the image's size."""
        image, x = normalized_image(input_shape, dtype)
        stages = DFNet(self.widths, self.depths, name="backbone", dtype=dtype)(x)
        context = PyramidPooling(
            self.width, align_corners=self.align_corners, name="context", dtype=dtype
        )(stages[3])
        context = keras.layers.SpatialDropout2D(
            _DROPOUT, name="context_dropout", dtype=dtype
        )(context)  # (B, H / 32, W / 32, width)
        detail = self._spatial_path(x, dtype)
        context, detail = self._aligned(context, detail, dtype)
        x = ops.concatenate([context, detail], axis=-1)  # (B, H / 8, W / 8, 2 width)
        logits, features = _pixel_head(x, num_classes, 2 * self.width, "head", dtype)
        edge, _ = _pixel_head(detail, 1, self.spatial_width, "auxiliary_edge", dtype)
        return NetworkParts(
            image,
            at_image_size(logits, image, self.align_corners),
            features,
            auxiliary={
                "edge": edge,
                "stride_8": classifier(num_classes, "auxiliary_8")(stages[1]),
                "stride_16": classifier(num_classes, "auxiliary_16")(stages[2]),
            },
            groups={
                "backbone": ("backbone",),
                "head": (
                    "context",
                    *(f"spatial_{index}" for index in range(1, 5)),
                    *("context_alignment", "spatial_alignment"),
                    *("head_conv", "classifier"),
                ),
            },
            stride=_STRIDE,
            name="bialignnet",
        )

    def _spatial_path(self, x, dtype):
        """Return the branch for detail: (B, H / 8, W / 8, width)."""
        for index, kernel_size in enumerate((7, 3, 3), 1):
            x = ConvBlock(
                self.spatial_width,
                kernel_size,
                strides=2,
                name=f"spatial_{index}",
                dtype=dtype,
            )(x)  # half the size
        return ConvBlock(self.width, name="spatial_4", dtype=dtype)(x)

    def _aligned(self, context, detail, dtype):
        """Move both, along flows of their own, which both of them predict."""
        options = {"filters": self.width // 2, "dtype": dtype}
        for_context = GatedFlowAlignment(
            moves="coarse", name="context_alignment", **options
        )
        for_detail = GatedFlowAlignment(
            moves="fine", name="spatial_alignment", **options
        )
        # (B, H / 8, W / 8, width), both
        return for_context(detail, context), for_detail(detail, context)


def _pixel_head(x, num_classes, width, name, dtype):
    """Return logits of each pixel (B, 8 h, 8 w, num_classes), and their features."""
    features = ConvBlock(width, 3, name=f"{name}_conv", dtype=dtype)(x)
    x = classifier(num_classes * _STRIDE**2, name)(features)
    pixels = DepthToSpace(_STRIDE, name=f"{name}_pixels", dtype="float32")
    return pixels(x), features


BIALIGNNET_DF2 = BiAlignNet()
