"""Build the model of a preset, with weights from a file if wanted."""

import os
import warnings

from keras_frm.labels import ONE_CLASS
from keras_frm.models.segmentation_model import SegmentationModel
from keras_frm.models.weights import load_weights
from keras_frm.networks.registry import Network, build_parts
from keras_frm.networks.shipped import network_of_weights
from keras_frm.presets import Preset, preset
from keras_frm.weights.shipped import find_shipped


def build_model(
    name: str | Preset = "cityscapes",
    *,
    network: str | Network | None = None,
    num_classes: int | None = None,
    input_shape: tuple[int | None, int | None, int] = (None, None, 3),
    weights: str | os.PathLike | None = None,
    contrastive_weight: float | None = None,
    temperature: float | None = None,
    embedding_dim: int = 256,
    dtype=None,
    **options,
) -> SegmentationModel:
    """Build a segmentation model: RGB in [0, 255] to logits at the image's size.

    Args:
        name: Name of a preset ("cityscapes", "bdd100k", "camvid", "synthetic", or one
            of your own), or a `Preset`. It gives the classes, the recipe and the
            network.
        network: "frm", "frm_lite0" (small and made for int8), "frm_table1" (as in the
            paper's Table 1), a name given to `register_network`, or such an object; the
            preset's by default.
        num_classes: Number of classes, where it is not the preset's.
        input_shape: Height, width and 3; None where unknown. Images are RGB.
        weights: Name of weights that come with the package (`keras-frm weights` lists
            them), whose network is taken; "imagenet" for an EfficientNet-Lite backbone,
            see `load_imagenet_weights`; or the path of a `.keras` or `.weights.h5` file
            of the same network, of an official checkpoint of it (`.pth`, `.pt`,
            `.pdparams`), or of a VAN checkpoint (`.pth`, `.pth.tar`) for the backbone.
            Of other classes than the model's all but the classifier is loaded, with a
            warning. None starts at random.
        contrastive_weight: Weight of the contrastive loss, the preset's by default.
        temperature: Temperature of the contrastive loss, the preset's by default.
        embedding_dim: Channels of the embedding head, which only training has.
        dtype: Dtype policy, for instance "mixed_bfloat16".
        **options: Options of the network. Those of "frm", see `FRMNetwork`: `backbone`
            ("van_tiny", "van_small", "van_base", "van_large", "efficientnet_lite0",
            "efficientnet_lite1", "efficientnet_lite2", a layer, or a model of
            `backbone_from`), `context` ("frm", "ppm", "dappm" or None), `alignment`
            ("bilinear" or "flow"), `decoder_width`, `drop_path_rate`, `rematerialize`,
            `freeze_backbone`.

    Returns:
        A `SegmentationModel`; `model.network` is the plain Keras network.

    Raises:
        ValueError: A name is unknown, the images are not RGB, or the weights do not
            fit; the message says which names or shapes there are.
        FileNotFoundError: There is no file at `weights`.

    Example:
    >>> model = build_model("camvid", backbone="van_tiny", decoder_width=32)
    >>> model.num_classes
    11
    """
    chosen = preset(name)
    if num_classes is None:
        num_classes = chosen.labels.num_classes
    elif num_classes != chosen.labels.num_classes:
        chosen = chosen.with_changes(class_weights=None)  # they are of other classes
    if num_classes == 1:
        warnings.warn(ONE_CLASS, UserWarning, stacklevel=2)
    shipped = find_shipped(weights)
    if shipped is not None:
        network = network_of_weights(shipped, network, options)
    parts = build_parts(
        num_classes,
        chosen.network if network is None else network,
        input_shape=input_shape,
        dtype=dtype,
        **options,
    )
    model = SegmentationModel(
        parts,
        preset=chosen,
        contrastive_weight=contrastive_weight,
        temperature=temperature,
        embedding_dim=embedding_dim,
        dtype=dtype,
    )
    if weights is not None:
        load_weights(model, weights)
    return model
