"""Official checkpoints of whole networks."""

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from keras_frm.networks.checkpoints.bialignnet import BIALIGNNET, BIALIGNNET_TRUNK
from keras_frm.networks.checkpoints.ddrnet import DDRNET
from keras_frm.networks.checkpoints.key_map import KeyMap
from keras_frm.networks.checkpoints.modules import layer_targets
from keras_frm.networks.checkpoints.paddle_file import read_paddle_checkpoint
from keras_frm.networks.checkpoints.pidnet import PIDNET
from keras_frm.networks.checkpoints.rtformer import RTFORMER
from keras_frm.networks.checkpoints.segformer import SEGFORMER, SEGFORMER_TRUNK
from keras_frm.networks.checkpoints.sfnet import SFNET, SFNET_TRUNK
from keras_frm.networks.checkpoints.state_dict import Target, assign_state
from keras_frm.networks.checkpoints.torch_file import read_torch_checkpoint
from keras_frm.networks.contract import NetworkParts

# Name of a network's graph -> where its official checkpoints belong.
KEY_MAPS: dict[str, KeyMap] = {
    "ddrnet": DDRNET,
    "pidnet": PIDNET,
    "sfnet": SFNET,
    "segformer": SEGFORMER,
    "rtformer": RTFORMER,
    "bialignnet": BIALIGNNET,
}

# Name of a network's graph -> where ImageNet's checkpoints of its backbone belong; what
# they are told by, their classifier, is their auxiliary part.
_TRUNK_KEY_MAPS: dict[str, KeyMap] = {
    "sfnet": SFNET_TRUNK,
    "segformer": SEGFORMER_TRUNK,
    "bialignnet": BIALIGNNET_TRUNK,
}

# End of the names of files that Paddle wrote; the others are PyTorch's.
PADDLE_SUFFIX = ".pdparams"

# What trainings wrap a network in, and what they save beside it.
_WRAPPERS = ("module.", "model.")
_BESIDE = ("loss.",)


def has_official_checkpoints(parts: NetworkParts) -> bool:
    """Return whether the weights of a network's official code can be read."""
    return parts.name in KEY_MAPS


def load_official_weights(parts: NetworkParts, path: str | os.PathLike) -> int:
    """Load a checkpoint of a network's official code.

    It may be one of the whole network or, where such are known, of ImageNet for the
    backbone alone. Names may start with "module." and "model."; what belongs to a loss
    is left out. Auxiliary heads are loaded where both the network and the file have
    them, and layers that make logits where both have as many classes. The file is read
    without its framework and without executing anything of it; Paddle's end with
    `.pdparams`.

    Args:
        parts: A network that has official checkpoints.
        path: Path of the checkpoint.

    Returns:
        The number of classes of the file.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file cannot be read, or tensors are missing, surplus or
            misshapen; they are listed and nothing is loaded.
    """
    is_paddle = Path(path).suffix == PADDLE_SUFFIX
    read = read_paddle_checkpoint if is_paddle else read_torch_checkpoint
    state = _unwrapped(read(path))
    keys = _key_map_of(state, parts.name)
    found = _classes_of(state, keys)
    targets, left_out = {}, list(keys.unused)
    for layer in parts.training_graph().layers:
        if layer.name not in keys.layers:
            continue
        names = keys.layers[layer.name]
        if layer.name in keys.classifiers and found not in (None, parts.num_classes):
            left_out.append(f"{names}.")
        else:
            targets |= _targets_of(layer, keys)
    targets, state = _without_one_sided_heads(targets, state, keys)
    state = {k: v for k, v in state.items() if not k.startswith(tuple(left_out))}
    assign_state(targets, state, path, f"network '{parts.name}'")
    return parts.num_classes if found is None else found


def _unwrapped(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the network's tensors by the names they have in the network."""
    own = {}
    for key, value in state.items():
        while key.startswith(_WRAPPERS):
            key = key.partition(".")[2]
        if not key.startswith(_BESIDE):
            own[key] = value
    return own


def _key_map_of(state: Mapping[str, np.ndarray], name: str) -> KeyMap:
    """Return where the tensors of a network's file belong, or of its trunk's."""
    trunk = _TRUNK_KEY_MAPS.get(name)
    if trunk and any(key.startswith(trunk.auxiliary) for key in state):
        return trunk
    return KEY_MAPS[name]


def _targets_of(layer: keras.Layer, keys: KeyMap) -> dict[str, Target]:
    """Return names and targets of all weights of a layer."""
    block = keys.pixel_shuffles.get(layer.name, 1)
    return {
        key: dataclasses.replace(target, block=block)
        for key, target in layer_targets(layer, keys.layers[layer.name])
    }


def _classes_of(state: Mapping[str, np.ndarray], keys: KeyMap) -> int | None:
    """Return the channels of the logits, None where the file has none."""
    if not keys.classifiers:
        return None
    classifier = keys.classifiers[0]
    weight = state.get(f"{keys.layers[classifier]}.weight")
    block = keys.pixel_shuffles.get(classifier, 1)
    return None if weight is None else weight.shape[0] // block**2


def _without_one_sided_heads(
    targets: dict[str, Target], state: dict[str, np.ndarray], keys: KeyMap
) -> tuple[dict, dict]:
    """Leave out what training alone has, where network or file are without it."""
    for head in keys.auxiliary:
        sides = (targets, state)
        has = [any(key.startswith(head) for key in side) for side in sides]
        if all(has):
            continue
        targets, state = (
            {key: value for key, value in side.items() if not key.startswith(head)}
            for side in sides
        )
    return targets, state
