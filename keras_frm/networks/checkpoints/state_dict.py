"""PyTorch's names, shapes and layouts of weights, and Keras' variables for them."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import keras
import numpy as np

from keras_frm.networks.checkpoints.restricted_pickle import CheckpointError

_BATCH_NORM = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Target:
    """A variable that a tensor of a state dict belongs to.

    Args:
        variable: The variable.
        depthwise: Whether it is the kernel of a depthwise convolution.
        block: Height and width of the block of pixels that the output channels become;
            see `KeyMap.pixel_shuffles`.
    """

    variable: keras.Variable
    depthwise: bool = False
    block: int = 1

    @property
    def torch_shape(self) -> tuple[int, ...]:
        """Shape that the variable has in PyTorch."""
        shape = tuple(self.variable.shape)
        if len(shape) != 4:
            return shape
        height, width, inputs, outputs = shape
        if self.depthwise:
            return (inputs, 1, height, width)
        return (outputs, inputs, height, width)

    def assign(self, array: np.ndarray) -> None:
        """Set the variable to a tensor in PyTorch's layout."""
        array = array.astype(np.float32).reshape(self.torch_shape)
        if self.block > 1:
            # (channel, row and column, ...) -> (row and column, channel, ...)
            pixels = array.reshape(-1, self.block**2, *array.shape[1:])
            array = pixels.swapaxes(0, 1).reshape(self.torch_shape)
        if array.ndim == 4:
            # (C, 1, h, w) -> (h, w, C, 1) or (O, I, h, w) -> (h, w, I, O)
            array = array.transpose((2, 3, 0, 1) if self.depthwise else (2, 3, 1, 0))
        self.variable.assign(array)


def assign_state(
    targets: Mapping[str, Target],
    state: Mapping[str, np.ndarray],
    path: str | os.PathLike,
    what: str = "backbone",
) -> None:
    """Set all variables to the tensors of a state dict, or none.

    Args:
        targets: Name in the state dict -> variable.
        state: Name -> tensor; `num_batches_tracked` are left out.
        path: The file, for the message.
        what: What the variables belong to, for the message.

    Raises:
        CheckpointError: Tensors are missing, surplus or misshapen; the message lists
            them.
    """
    state = {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    problems = {
        "missing": [key for key in targets if key not in state],
        "surplus": [key for key in state if key not in targets],
        "misshapen": [
            f"{key} {state[key].shape} instead of {target.torch_shape}"
            for key, target in targets.items()
            if key in state
            and _squeezed(state[key].shape) != _squeezed(target.torch_shape)
        ],
    }
    found = [f"{kind}: {', '.join(keys)}" for kind, keys in problems.items() if keys]
    if found:
        raise CheckpointError(
            f"{path} does not fit this {what}; nothing was loaded. "
            f"{'; '.join(found)}. Build the {what} of the checkpoint's size."
        )
    for key, target in targets.items():
        target.assign(state[key])


def conv_targets(prefix: str, layer: keras.layers.Layer) -> Iterator[tuple]:
    """Yield names and targets of a convolution, plain or depthwise.

    Args:
        prefix: Name of the module in the state dict.
        layer: A built layer.
    """
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    yield f"{prefix}.weight", Target(layer.kernel, depthwise)
    if layer.use_bias:
        yield f"{prefix}.bias", Target(layer.bias)


def batch_norm_targets(prefix: str, layer: keras.layers.Layer) -> Iterator[tuple]:
    """Yield names and targets of a BatchNorm, see `conv_targets`."""
    variables = (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
    for name, variable in zip(_BATCH_NORM, variables, strict=True):
        yield f"{prefix}.{name}", Target(variable)


def layer_norm_targets(prefix: str, layer: keras.layers.Layer) -> Iterator[tuple]:
    """Yield names and targets of a LayerNorm, see `conv_targets`."""
    yield f"{prefix}.weight", Target(layer.gamma)
    yield f"{prefix}.bias", Target(layer.beta)


def _squeezed(shape):
    """Return a shape without dimensions of 1: some files store layer scales so."""
    return tuple(n for n in shape if n != 1)
