"""Convolutions with changed weights: the arithmetic that folding passes share."""

import keras
import numpy as np

Convolution = (
    keras.layers.Conv2D
    | keras.layers.DepthwiseConv2D
    | keras.layers.Conv1D
    | keras.layers.Dense
)


def is_convolution(operation) -> bool:
    """Return whether an operation is a linear map with a kernel and no activation."""
    return (
        isinstance(operation, Convolution)
        and operation.activation is keras.activations.linear
    )


def is_pointwise(operation) -> bool:
    """Return whether a convolution sees one position only and mixes all channels."""
    if not is_convolution(operation):
        return False
    if isinstance(operation, keras.layers.Dense):
        return True
    return (
        not isinstance(operation, keras.layers.DepthwiseConv2D)
        and operation.groups == 1
        and set(operation.kernel_size) == {1}
    )


def weights_of(layer) -> tuple[np.ndarray, np.ndarray]:
    """Return kernel and bias in float64, zeros where there is no bias."""
    kernel = np.asarray(layer.kernel, np.float64)
    if layer.bias is not None:
        return kernel, np.asarray(layer.bias, np.float64)
    outputs = kernel.shape[-1]
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        outputs *= kernel.shape[-2]
    return kernel, np.zeros(outputs)


def with_weights(layer, kernel: np.ndarray, bias: np.ndarray):
    """Return a layer like another, its bias added, with other weights."""
    new = type(layer).from_config({**layer.get_config(), "use_bias": True})
    new.build(layer.get_build_config()["input_shape"])
    new.set_weights([kernel.astype(np.float32), bias.astype(np.float32)])
    return new


def scale_outputs(layer, scale: np.ndarray, offset: np.ndarray):
    """Return a convolution whose outputs are multiplied and shifted.

    Args:
        layer: A convolution without activation.
        scale: (C_out,) factor of each output channel.
        offset: (C_out,) added to each output channel.

    Example:
    >>> dense = keras.layers.Dense(2)
    >>> dense.build((None, 3))
    >>> new = scale_outputs(dense, np.array([2, 3]), np.array([1, 0]))
    >>> np.allclose(new.kernel, dense.kernel * np.array([2, 3]))
    True
    """
    kernel, bias = weights_of(layer)
    by_channel = scale
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        by_channel = scale.reshape(kernel.shape[-2:])  # (C_in, multiplier)
    return with_weights(layer, kernel * by_channel, bias * scale + offset)


def scale_inputs(layer, scale: np.ndarray, offset: np.ndarray):
    """Return a pointwise convolution that multiplies and shifts its inputs itself.

    Args:
        layer: A pointwise convolution.
        scale: (C_in,) factor of each input channel.
        offset: (C_in,) added to each input channel.
    """
    kernel, bias = weights_of(layer)
    added = (offset @ kernel).reshape(-1)  # (C_out,)
    return with_weights(layer, kernel * scale[:, None], bias + added)
