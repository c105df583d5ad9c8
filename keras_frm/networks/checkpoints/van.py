"""Official VAN checkpoints into the backbone."""

import os
from collections.abc import Iterator

import keras

from keras_frm.layers import VAN
from keras_frm.networks.checkpoints.state_dict import (
    Target,
    assign_state,
    batch_norm_targets,
    conv_targets,
    layer_norm_targets,
)
from keras_frm.networks.checkpoints.torch_file import read_torch_checkpoint


def load_van_weights(
    model: keras.Model | VAN, path: str | os.PathLike
) -> keras.Model | VAN:
    """Load an official VAN checkpoint into a backbone.

    Takes the files of VAN-Classification and VAN-Segmentation: `.pth` or `.pth.tar`,
    the state dict at the top or under "state_dict" or "model", names with or without
    "backbone.", with or without a classifier or decode head (left out). The files are
    read without PyTorch and without executing anything of theirs.

    The LayerNorm's epsilon is set to the source's: 1e-5 for segmentation (names with
    "backbone."), 1e-6 for classification.

    Args:
        model: A built `VAN`, or a model with one among its layers.
        path: Path of the checkpoint.

    Returns:
        `model`.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file cannot be read, or keys are missing, surplus or
            misshapen; they are listed and nothing is loaded.
    """
    backbone = _backbone(model)
    state = read_torch_checkpoint(path)
    is_segmentation = any(key.startswith("backbone.") for key in state)
    state = _backbone_state(state)
    assign_state(dict(_targets(backbone)), state, path)
    for _, _, norm in backbone.stages():
        norm.epsilon = 1e-5 if is_segmentation else 1e-6
    backbone.layer_norm_epsilon = norm.epsilon
    return model


def _backbone(model):
    if isinstance(model, VAN):
        return model
    network = getattr(model, "network", model)
    found = [layer for layer in network.layers if isinstance(layer, VAN)]
    if len(found) != 1:
        raise ValueError(
            f"Model '{network.name}' has {len(found)} VAN backbones; one is needed for "
            "a VAN checkpoint."
        )
    return found[0]


def _backbone_state(state):
    """Return the tensors that belong to the backbone, by their official names."""
    if any(key.startswith("backbone.") for key in state):
        state = {
            key.removeprefix("backbone."): value
            for key, value in state.items()
            if key.startswith("backbone.")
        }
    return {key: value for key, value in state.items() if not key.startswith("head.")}


def _targets(backbone: VAN) -> Iterator[tuple[str, Target]]:
    for stage, (embedding, blocks, norm) in enumerate(backbone.stages(), 1):
        yield from conv_targets(f"patch_embed{stage}.proj", embedding.conv)
        yield from batch_norm_targets(f"patch_embed{stage}.norm", embedding.norm)
        for index, block in enumerate(blocks):
            yield from _block(f"block{stage}.{index}", block)
        yield from layer_norm_targets(f"norm{stage}", norm)


def _block(prefix, block):
    """Yield the official names of a block's variables."""
    attention, lka = block.attention, block.attention.attention
    yield f"{prefix}.layer_scale_1", Target(block.scale_1.gamma)
    yield f"{prefix}.layer_scale_2", Target(block.scale_2.gamma)
    yield from batch_norm_targets(f"{prefix}.norm1", block.norm_1)
    yield from batch_norm_targets(f"{prefix}.norm2", block.norm_2)
    yield from conv_targets(f"{prefix}.attn.proj_1", attention.project_in)
    yield from conv_targets(f"{prefix}.attn.spatial_gating_unit.conv0", lka.local)
    yield from conv_targets(
        f"{prefix}.attn.spatial_gating_unit.conv_spatial", lka.dilated
    )
    yield from conv_targets(f"{prefix}.attn.spatial_gating_unit.conv1", lka.pointwise)
    yield from conv_targets(f"{prefix}.attn.proj_2", attention.project_out)
    yield from conv_targets(f"{prefix}.mlp.fc1", block.mlp.expand)
    yield from conv_targets(f"{prefix}.mlp.dwconv.dwconv", block.mlp.depthwise)
    yield from conv_targets(f"{prefix}.mlp.fc2", block.mlp.project)
