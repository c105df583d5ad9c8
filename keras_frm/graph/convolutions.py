"""Convolutions with changed weights: the arithmetic that folding passes share."""

import keras
import numpy as np

from keras_frm.graph.layer_like import layer_like

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


def can_scale_outputs(operation) -> bool:
    """Return whether an operation is one that `scale_outputs` takes."""
    return is_convolution(operation) or (
        isinstance(operation, keras.layers.Conv2DTranspose)
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
    *_, inputs, outputs = kernel.shape
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        outputs *= inputs
    elif isinstance(layer, keras.layers.Conv2DTranspose):
        outputs = inputs
    return kernel, np.zeros(outputs)


def with_weights(layer, kernel: np.ndarray, bias: np.ndarray):
    """Return a layer like another, its bias added, with other weights."""
    return layer_like(layer, [kernel, bias], use_bias=True)


def scale_outputs(layer, scale: np.ndarray, offset: np.ndarray):
    """Return a convolution whose outputs are multiplied and shifted.

    Args:
        layer: A convolution without activation, see `can_scale_outputs`.
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
    elif isinstance(layer, keras.layers.Conv2DTranspose):
        by_channel = scale[:, None]  # (C_out, C_in)
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


def scale_channels(layer, inputs: np.ndarray | float, outputs: np.ndarray | float):
    """Return a convolution that multiplies the channels on both of its sides.

    Args:
        layer: A convolution of one group, or a depthwise one of multiplier 1, without
            activation.
        inputs: (C_in,) factor of each input channel, or one of all.
        outputs: (C_out,) factor of each output channel, or one of all.

    Example:
    >>> layer = keras.layers.Conv2D(2, 3)
    >>> layer.build((None, 5, 5, 3))
    >>> new = scale_channels(layer, np.array([1, 2, 3]), 0.5)
    >>> x = np.ones((1, 5, 5, 3), "float32")
    >>> np.allclose(new(x), 0.5 * layer(x * [1, 2, 3]), atol=1e-6)
    True
    """
    kernel, *bias = (np.asarray(weight, np.float64) for weight in layer.get_weights())
    by_input = np.broadcast_to(inputs, kernel.shape[-2:-1])[:, None]  # (C_in, 1)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        by_output = np.broadcast_to(outputs, kernel.shape[-2:-1])[:, None]  # (C, 1)
    else:
        by_output = np.broadcast_to(outputs, kernel.shape[-1:])  # (C_out,)
    weights = [kernel * by_input * by_output, *(b * outputs for b in bias)]
    return layer_like(layer, weights)
