"""Build the model of a preset, with weights from a file if wanted."""

import os

from keras_frm.layers import VAN
from keras_frm.models.saving import load_weights
from keras_frm.models.segmentation_model import SegmentationModel
from keras_frm.networks.frm import build_network
from keras_frm.presets import Preset, preset


def build_model(
    name: str | Preset = "cityscapes",
    *,
    backbone: str | VAN = "van_small",
    context: str | None = "frm",
    alignment: str = "bilinear",
    num_classes: int | None = None,
    input_shape: tuple[int | None, int | None, int] = (None, None, 3),
    weights: str | os.PathLike | None = None,
    decoder_width: int = 128,
    drop_path_rate: float = 0.1,
    rematerialize: bool = False,
    contrastive_weight: float | None = None,
    temperature: float | None = None,
    embedding_dim: int = 256,
    dtype=None,
) -> SegmentationModel:
    """Build a segmentation model: RGB in [0, 255] to logits at the image's size.

    Args:
        name: Name of a preset ("cityscapes", "bdd100k", "camvid", "synthetic", or one
            of your own), or a `Preset`. It gives the classes and the recipe.
        backbone: "van_tiny", "van_small" (the paper's), "van_base", "van_large", or a
            `VAN` layer.
        context: "frm" (the paper's), "ppm", "dappm" or None.
        alignment: "bilinear", or "flow" as in the paper's Table 1.
        num_classes: Number of classes, where it is not the preset's.
        input_shape: Height, width and 3; None where unknown.
        weights: Path of a `.keras` or `.weights.h5` file of the same network, or of a
            VAN checkpoint (`.pth`, `.pth.tar`) for the backbone. None starts at random.
        decoder_width: Channels of the decoder.
        drop_path_rate: Largest drop path rate of a backbone given by name.
        rematerialize: Whether a backbone given by name computes its blocks twice in
            training: less memory for large crops, more time, the same numbers.
        contrastive_weight: Weight of the contrastive loss, the preset's by default.
        temperature: Temperature of the contrastive loss, the preset's by default.
        embedding_dim: Channels of the embedding head, which only training has.
        dtype: Dtype policy, for instance "mixed_bfloat16".

    Returns:
        A `SegmentationModel`; `model.network` is the plain Keras network.

    Raises:
        ValueError: A name is unknown, or the weights do not fit; the message says
            which names or shapes there are.
        FileNotFoundError: There is no file at `weights`.

    Example:
    >>> model = build_model("camvid", backbone="van_tiny", decoder_width=32)
    >>> model.num_classes
    11
    """
    chosen = preset(name)
    network = build_network(
        num_classes or chosen.labels.num_classes,
        backbone=backbone,
        context=context,
        alignment=alignment,
        decoder_width=decoder_width,
        drop_path_rate=drop_path_rate,
        rematerialize=rematerialize,
        input_shape=input_shape,
        dtype=dtype,
    )
    if weights is not None:
        load_weights(network, weights)
    return SegmentationModel(
        network,
        preset=name,
        contrastive_weight=(
            chosen.contrastive_weight
            if contrastive_weight is None
            else contrastive_weight
        ),
        temperature=chosen.temperature if temperature is None else temperature,
        embedding_dim=embedding_dim,
        dtype=dtype,
    )
