"""The network: backbone, context module, decoder and classifier."""

import keras

from keras_frm.backend import require_channels_last
from keras_frm.layers import (
    VAN,
    BilinearUpsampling,
    ConvBlock,
    DeepAggregationPyramidPooling,
    FeatureRefinementModule,
    FPNDecoder,
    PyramidPooling,
    StageConcatenation,
)

CONTEXTS = ("frm", "ppm", "dappm", None)

# ImageNet's mean and standard deviation of RGB in [0, 255].
_MEAN = (123.675, 116.28, 103.53)
_STD = (58.395, 57.12, 57.375)


def build_network(
    num_classes: int,
    *,
    backbone: str | VAN = "van_small",
    context: str | None = "frm",
    alignment: str = "bilinear",
    decoder_width: int = 128,
    drop_path_rate: float = 0.1,
    rematerialize: bool = False,
    input_shape: tuple[int | None, int | None, int] = (None, None, 3),
    dtype=None,
    name: str = "frm_segmenter",
) -> keras.Model:
    """Return the plain network: RGB in [0, 255] to logits at the image's size.

    Args:
        num_classes: Number of classes.
        backbone: Name of a VAN, or a `VAN` layer.
        context: "frm", "ppm", "dappm", or None for a 1x1 convolution on the last
            stage.
        alignment: "bilinear" or "flow", see `FPNDecoder`.
        decoder_width: Channels of the decoder.
        drop_path_rate: Largest drop path rate of a backbone given by name.
        rematerialize: See `VAN`; of a backbone given by name.
        input_shape: Height, width and 3; None where unknown.
        dtype: Dtype policy of all layers, the global one by default. Logits are
            float32 in any case.
        name: Name of the model.

    Returns:
        A Functional model of layers "normalization", "backbone", "context",
        "decoder", "classifier", "upsampling".

    Raises:
        ValueError: A name is unknown; the message lists the right ones.

    Example:
    >>> network = build_network(11, backbone="van_tiny", decoder_width=32)
    >>> tuple(network(keras.ops.ones((1, 45, 64, 3))).shape)
    (1, 45, 64, 11)
    """
    require_channels_last()
    if num_classes < 1:
        raise ValueError(f"`num_classes` must be at least 1. Received: {num_classes}")
    # === Layers ===
    normalization = keras.layers.Rescaling(
        scale=[1 / std for std in _STD],
        offset=[-mean / std for mean, std in zip(_MEAN, _STD, strict=True)],
        dtype=dtype,
        name="normalization",
    )
    if isinstance(backbone, str):
        backbone = VAN.from_variant(
            backbone,
            drop_path_rate=drop_path_rate,
            rematerialize=rematerialize,
            dtype=dtype,
            name="backbone",
        )
    decoder = FPNDecoder(decoder_width, alignment, dtype=dtype, name="decoder")
    classifier = keras.layers.Conv2D(num_classes, 1, dtype="float32", name="classifier")

    # === Functional Model ===
    image = keras.Input(input_shape, name="image")  # (B, H, W, 3)
    stages = backbone(normalization(image))
    refined = _context_features(stages, context, decoder_width, dtype)
    features = decoder([*stages[:3], refined])  # (B, H / 4, W / 4, width)
    logits = classifier(features)  # (B, H / 4, W / 4, num_classes)
    upsampling = BilinearUpsampling(dtype="float32", name="upsampling")
    logits = upsampling(logits, image)  # (B, H, W, num_classes)
    return keras.Model(image, logits, name=name)


def _context_features(stages, context, width, dtype):
    """Return the decoder's coarsest input: (B, H / 32, W / 32, width)."""
    if context is None:
        return ConvBlock(width, dtype=dtype, name="context")(stages[3])
    modules = {
        "frm": FeatureRefinementModule,
        "ppm": PyramidPooling,
        "dappm": DeepAggregationPyramidPooling,
    }
    if context not in modules:
        raise ValueError(
            f"There is no context module '{context}'. Choose one of: "
            f"{', '.join(map(str, CONTEXTS))}"
        )
    merged = StageConcatenation(dtype=dtype, name="stages")(stages)
    return modules[context](width, dtype=dtype, name="context")(merged)
