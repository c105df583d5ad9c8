"""SFNet: a feature pyramid whose levels are aligned along predicted flows."""

from dataclasses import dataclass

import keras

from keras_frm.layers import (
    ConvBlock,
    DeepStemResNet,
    FPNDecoder,
    PyramidPooling,
)
from keras_frm.networks.contract import NetworkParts
from keras_frm.networks.heads import at_image_size, classifier
from keras_frm.networks.stems import normalized_image

_DROPOUT = 0.1


@dataclass(frozen=True)
class SFNet:
    """ResNet-18, pyramid pooling on its last stage, and an FPN with flow alignment.

    | network | parameters | with the auxiliary heads | multiply-adds at 1024x2048 |
    | --- | ---: | ---: | ---: |
    | sfnet_r18 | 12,869,715 | 13,320,588 | 242.96 G |

    Images are normalised by ImageNet's mean and standard deviation. Any size will do.

    Args:
        widths: Channels of the backbone's four stages.
        stem_widths: Channels of the stem's three convolutions.
        decoder_width: Channels of the context and of every level of the decoder.
        align_corners: Whether features and logits are resized with the corners aligned,
            as the original does; half-pixel otherwise, which phones have a kernel for.
            The flow alignment aligns them in any case.

    Auxiliary outputs: "level_3", "level_2" and "level_1", logits of the decoder's
    levels at 1/16, 1/8 and 1/4 before their smoothing.

    Source: Li et al., Semantic Flow for Fast and Accurate Scene Parsing, 2020 (arXiv
    2002.10120); lxtGH/SFSegNets, `DeepR18_SF_deeply`.

    Example:
    >>> parts = SFNet((8, 8, 8, 8), (4, 4, 8), decoder_width=8).build(19)
    >>> tuple(parts.network()(keras.ops.ones((1, 45, 64, 3))).shape)
    (1, 45, 64, 19)
    """

    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    stem_widths: tuple[int, int, int] = (64, 64, 128)
    decoder_width: int = 128
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
        stages = DeepStemResNet(
            self.widths, stem_widths=self.stem_widths, name="backbone", dtype=dtype
        )(x)
        context = PyramidPooling(
            self.decoder_width,
            align_corners=self.align_corners,
            name="context",
            dtype=dtype,
        )(stages[3])  # (B, H / 32, W / 32, decoder_width)
        context = _dropout("context_dropout", dtype)(context)
        features, *levels = FPNDecoder(
            self.decoder_width,
            "flow",
            align_corners=self.align_corners,
            return_levels=True,
            name="decoder",
            dtype=dtype,
        )([*stages[:3], context])  # (B, H / 4, W / 4, decoder_width)
        logits = classifier(num_classes)(features)
        return NetworkParts(
            image,
            at_image_size(logits, image, self.align_corners),
            features,
            auxiliary={
                f"level_{level}": self._auxiliary_head(
                    levels[level - 1], num_classes, f"auxiliary_{level}", dtype
                )
                for level in (3, 2, 1)
            },
            groups={
                "backbone": ("backbone",),
                "head": ("context", "decoder", "classifier"),
            },
            stride=4,
            name="sfnet",
        )

    def _auxiliary_head(self, x, num_classes, name, dtype):
        """Return logits of a level of the decoder: (B, h, w, num_classes)."""
        x = ConvBlock(
            self.decoder_width, 3, use_bias=True, name=f"{name}_conv", dtype=dtype
        )(x)
        x = _dropout(f"{name}_dropout", dtype)(x)
        return classifier(num_classes, name)(x)


def _dropout(name, dtype):
    """Return a layer that drops whole channels, in training only."""
    return keras.layers.SpatialDropout2D(_DROPOUT, name=name, dtype=dtype)


SFNET_R18 = SFNet()
