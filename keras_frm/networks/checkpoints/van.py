"""Official VAN checkpoints into the backbone."""

import os
from collections.abc import Iterator

import keras
import numpy as np

from keras_frm.layers import VAN
from keras_frm.networks.checkpoints.torch_file import (
    CheckpointError,
    read_torch_checkpoint,
)

_BATCH_NORM = ("weight", "bias", "running_mean", "running_var")


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
    expected = dict(_named_variables(backbone))
    _check(state, expected, path)
    for key, variable in expected.items():
        variable.assign(_to_keras(state[key], variable))
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
    return {
        key: value
        for key, value in state.items()
        if not key.startswith("head.") and not key.endswith("num_batches_tracked")
    }


def _check(state, expected, path):
    """Raise an error that lists what does not fit; do nothing if all does."""
    shapes = {key: _torch_shape(variable) for key, variable in expected.items()}
    problems = {
        "missing": [key for key in shapes if key not in state],
        "surplus": [key for key in state if key not in shapes],
        "misshapen": [
            f"{key} {state[key].shape} instead of {shape}"
            for key, shape in shapes.items()
            if key in state and _squeezed(state[key].shape) != _squeezed(shape)
        ],
    }
    found = [f"{kind}: {', '.join(keys)}" for kind, keys in problems.items() if keys]
    if found:
        raise CheckpointError(
            f"{path} does not fit this backbone; nothing was loaded. "
            f"{'; '.join(found)}. Build the backbone of the checkpoint's size."
        )


def _squeezed(shape):
    """Return a shape without dimensions of 1: some files store layer scales so."""
    return tuple(n for n in shape if n != 1)


def _torch_shape(variable):
    """Return the shape a variable has in PyTorch."""
    shape = tuple(variable.shape)
    if len(shape) != 4:
        return shape
    height, width, inputs, outputs = shape
    if _is_depthwise(variable):
        return (inputs, 1, height, width)
    return (outputs, inputs, height, width)


def _to_keras(array, variable):
    """Return an array in the layout of a variable."""
    array = array.astype(np.float32).reshape(_torch_shape(variable))
    if array.ndim != 4:
        return array
    # (C, 1, h, w) -> (h, w, C, 1) or (O, I, h, w) -> (h, w, I, O)
    axes = (2, 3, 0, 1) if _is_depthwise(variable) else (2, 3, 1, 0)
    return array.transpose(axes)


def _is_depthwise(variable):
    """Whether a variable is the kernel of a depthwise convolution."""
    return variable.path.split("/")[-2] in ("local", "dilated", "depthwise")


def _named_variables(backbone: VAN) -> Iterator[tuple[str, keras.Variable]]:
    """Yield the official name of every variable of a backbone."""
    for stage, (embedding, blocks, norm) in enumerate(backbone.stages(), 1):
        yield from _conv(f"patch_embed{stage}.proj", embedding.conv)
        yield from _batch_norm(f"patch_embed{stage}.norm", embedding.norm)
        for index, block in enumerate(blocks):
            yield from _block(f"block{stage}.{index}", block)
        yield f"norm{stage}.weight", norm.gamma
        yield f"norm{stage}.bias", norm.beta


def _block(prefix, block):
    """Yield the official names of a block's variables."""
    attention, lka = block.attention, block.attention.attention
    yield f"{prefix}.layer_scale_1", block.scale_1.gamma
    yield f"{prefix}.layer_scale_2", block.scale_2.gamma
    yield from _batch_norm(f"{prefix}.norm1", block.norm_1)
    yield from _batch_norm(f"{prefix}.norm2", block.norm_2)
    yield from _conv(f"{prefix}.attn.proj_1", attention.project_in)
    yield from _conv(f"{prefix}.attn.spatial_gating_unit.conv0", lka.local)
    yield from _conv(f"{prefix}.attn.spatial_gating_unit.conv_spatial", lka.dilated)
    yield from _conv(f"{prefix}.attn.spatial_gating_unit.conv1", lka.pointwise)
    yield from _conv(f"{prefix}.attn.proj_2", attention.project_out)
    yield from _conv(f"{prefix}.mlp.fc1", block.mlp.expand)
    yield from _conv(f"{prefix}.mlp.dwconv.dwconv", block.mlp.depthwise)
    yield from _conv(f"{prefix}.mlp.fc2", block.mlp.project)


def _conv(prefix, layer):
    """Yield the official names of a convolution's variables."""
    yield f"{prefix}.weight", layer.kernel
    yield f"{prefix}.bias", layer.bias


def _batch_norm(prefix, layer):
    """Yield the official names of a BatchNorm's variables."""
    variables = (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
    for name, variable in zip(_BATCH_NORM, variables, strict=True):
        yield f"{prefix}.{name}", variable
