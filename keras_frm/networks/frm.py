"""The FRM network: backbone, context module, decoder and classifier."""

from dataclasses import dataclass

import keras

from keras_frm.backend import require_channels_last
from keras_frm.layers import (
    VAN,
    ConvBlock,
    DeepAggregationPyramidPooling,
    FeatureRefinementModule,
    FPNDecoder,
    MixTransformer,
    PyramidPooling,
    StageConcatenation,
)
from keras_frm.layers.backbones.efficientnet_lite import (
    EFFICIENTNET_LITE_VARIANTS,
    EfficientNetLite,
)
from keras_frm.layers.backbones.mix_transformer import MIT_VARIANTS
from keras_frm.layers.backbones.van import VAN_VARIANTS
from keras_frm.networks.backbone import check_stages, imagenet_normalization
from keras_frm.networks.contract import NetworkParts
from keras_frm.networks.heads import at_image_size, classifier

# Name -> class with such a variant.
BACKBONES = {
    **dict.fromkeys(VAN_VARIANTS, VAN),
    **dict.fromkeys(EFFICIENTNET_LITE_VARIANTS, EfficientNetLite),
    **dict.fromkeys(MIT_VARIANTS, MixTransformer),
}
CONTEXTS = ("frm", "ppm", "dappm", None)


@dataclass(frozen=True)
class FRMNetwork:
    """A backbone's four stages, a context module on all of them, and an FPN decoder.

    The network has the layers "normalization" (of a VAN or a MixTransformer), the
    backbone, "context", "decoder", "classifier" and "upsampling".

    Args:
        backbone: Name of a VAN, an EfficientNet-Lite or a Mix Transformer, or a layer
            or Functional model that gives four stages at 1/4 to 1/32. Images are
            normalised by ImageNet's mean and standard deviation for a `VAN` or a
            `MixTransformer`; every other backbone gets RGB in [0, 255], see
            `backbone_from`.
        context: "frm", "ppm", "dappm", or None for a 1x1 convolution on the last
            stage.
        alignment: "bilinear" or "flow", see `FPNDecoder`.
        decoder_width: Channels of the decoder.
        drop_path_rate: Largest drop path rate of a backbone given by name.
        rematerialize: See `VAN`; of a backbone given by name.
        freeze_backbone: Whether training leaves the backbone as it is, its BatchNorms'
            moving averages too.

    Source: Wang et al., A Feature Refinement Module for Light-weight Semantic
    Segmentation Network, 2024 (arXiv 2412.08670).

    Example:
    >>> parts = FRMNetwork(backbone="van_tiny", decoder_width=32).build(11)
    >>> tuple(parts.network()(keras.ops.ones((1, 45, 64, 3))).shape)
    (1, 45, 64, 11)
    """

    backbone: str | keras.Layer = "van_small"
    context: str | None = "frm"
    alignment: str = "bilinear"
    decoder_width: int = 128
    drop_path_rate: float = 0.1
    rematerialize: bool = False
    freeze_backbone: bool = False

    def build(
        self,
        num_classes: int,
        *,
        input_shape: tuple[int | None, int | None, int] = (None, None, 3),
        dtype=None,
        name: str = "frm_segmenter",
    ) -> NetworkParts:
        """Return the network's parts: RGB in [0, 255] to logits at the image's size.

        Args:
            num_classes: Number of classes.
            input_shape: Height, width and 3; None where unknown.
            dtype: Dtype policy of all layers, the global one by default. Logits are
                float32 in any case.
            name: Name of the network.

        Raises:
            ValueError: A name is unknown, or the backbone gives no four stages.
        """
        require_channels_last()
        backbone = self._backbone(dtype)
        width = self.decoder_width
        decoder = FPNDecoder(width, self.alignment, dtype=dtype, name="decoder")
        classify = classifier(num_classes)

        image = x = keras.Input(input_shape, name="image")  # (B, H, W, 3)
        if isinstance(backbone, (VAN, MixTransformer)):
            x = imagenet_normalization(dtype=dtype)(x)
        stages = backbone(x)
        check_stages(backbone.name, keras.Model(image, stages))
        backbone.trainable = backbone.trainable and not self.freeze_backbone
        refined = self._context(stages, dtype)  # (B, H / 32, W / 32, width)
        features = decoder([*stages[:3], refined])  # (B, H / 4, W / 4, width)
        logits = classify(features)  # (B, H / 4, W / 4, num_classes)
        logits = at_image_size(logits, image)  # (B, H, W, num_classes)
        return NetworkParts(
            image,
            logits,
            features,
            groups={
                "backbone": (backbone.name,),
                "head": ("context", "decoder", "classifier"),
            },
            stride=4,
            name=name,
        )

    def _backbone(self, dtype):
        if not isinstance(self.backbone, str):
            return self.backbone
        if self.backbone not in BACKBONES:
            raise ValueError(
                f"There is no backbone '{self.backbone}'. Choose one of: "
                f"{', '.join(BACKBONES)}"
            )
        return BACKBONES[self.backbone].from_variant(
            self.backbone,
            drop_path_rate=self.drop_path_rate,
            rematerialize=self.rematerialize,
            dtype=dtype,
            name="backbone",
        )

    def _context(self, stages, dtype):
        """Return the decoder's coarsest input."""
        width = self.decoder_width
        if self.context is None:
            return ConvBlock(width, dtype=dtype, name="context")(stages[3])
        modules = {
            "frm": FeatureRefinementModule,
            "ppm": PyramidPooling,
            "dappm": DeepAggregationPyramidPooling,
        }
        if self.context not in modules:
            raise ValueError(
                f"There is no context module '{self.context}'. Choose one of: "
                f"{', '.join(map(str, CONTEXTS))}"
            )
        merged = StageConcatenation(dtype=dtype, name="stages")(stages)
        return modules[self.context](width, dtype=dtype, name="context")(merged)


# The default: what the paper's text describes, resized bilinearly as int8 likes it.
FRM = FRMNetwork()
# The network of the paper's Table 1, 16.48 million parameters.
FRM_TABLE_1 = FRMNetwork(
    backbone="van_small", context="frm", alignment="flow", decoder_width=128
)
# Small and made for int8: a backbone without attention or sigmoids, a narrow decoder.
# Decoders of 32, 48, 64 channels reach 56.3, 57.8, 59.0 % mIoU in 0.71, 0.84, 1
# of the time (results/trainings/README.md).
FRM_LITE0 = FRMNetwork(backbone="efficientnet_lite0", decoder_width=64)
