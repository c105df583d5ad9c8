"""SegFormer: a transformer of four stages, and a decoder of linear layers."""

from dataclasses import dataclass

import keras

from keras_frm.layers import AllMLPDecoder, MixTransformer
from keras_frm.layers.backbones.mix_transformer import MIT_VARIANTS
from keras_frm.networks.contract import NetworkParts
from keras_frm.networks.heads import at_image_size, classifier
from keras_frm.networks.stems import normalized_image


@dataclass(frozen=True)
class SegFormer:
    """A Mix Transformer, whose four stages a decoder merges at 1/4.

    | network | parameters | multiply-adds at 1024x2048 | attention beside them |
    | --- | ---: | ---: | ---: |
    | segformer_b0 | 3,719,027 | 54.39 G | 66.57 G |
    | segformer_b1 | 13,682,131 | 105.99 G | 133.14 G |

    Images are normalised by ImageNet's mean and standard deviation. Any size will do.
    The original has 2,451 parameters more, of a classifier that it never uses.

    Args:
        widths: Channels of the backbone's four stages.
        heads: Heads of the attention, by stage.
        depths: Blocks in each stage.
        decoder_width: Channels of the decoder.
        drop_path_rate: Largest drop path rate of the backbone.
        dropout: Share of the decoder's channels that training drops.
        rematerialize: See `MixTransformer`.

    Source: Xie et al., SegFormer, 2021 (arXiv 2105.15203); NVlabs/SegFormer.

    Example:
    >>> parts = SegFormer((8, 8, 8, 8), (1, 2, 2, 4), decoder_width=8).build(19)
    >>> tuple(parts.network()(keras.ops.ones((1, 45, 64, 3))).shape)
    (1, 45, 64, 19)
    """

    widths: tuple[int, int, int, int] = (32, 64, 160, 256)
    heads: tuple[int, int, int, int] = (1, 2, 5, 8)
    depths: tuple[int, int, int, int] = (2, 2, 2, 2)
    decoder_width: int = 256
    drop_path_rate: float = 0.1
    dropout: float = 0.1
    rematerialize: bool = False

    def build(
        self,
        num_classes: int,
        *,
        input_shape: tuple[int | None, int | None, int] = (None, None, 3),
        dtype=None,
    ) -> NetworkParts:
        """Return the network's parts: RGB in [0, 255] to logits at the image's size."""
        image, x = normalized_image(input_shape, dtype)
        stages = MixTransformer(
            self.widths,
            self.heads,
            self.depths,
            drop_path_rate=self.drop_path_rate,
            rematerialize=self.rematerialize,
            name="backbone",
            dtype=dtype,
        )(x)
        decoder = AllMLPDecoder(self.decoder_width, name="decoder", dtype=dtype)
        dropout = keras.layers.SpatialDropout2D(
            self.dropout, name="dropout", dtype=dtype
        )
        features = dropout(decoder(stages))  # (B, H / 4, W / 4, decoder_width)
        logits = classifier(num_classes)(features)  # (B, H / 4, W / 4, num_classes)
        return NetworkParts(
            image,
            at_image_size(logits, image),
            features,
            groups={"backbone": ("backbone",), "head": ("decoder", "classifier")},
            stride=4,
            name="segformer",
        )


SEGFORMER_B0 = SegFormer(**MIT_VARIANTS["mit_b0"])
SEGFORMER_B1 = SegFormer(**MIT_VARIANTS["mit_b1"])
