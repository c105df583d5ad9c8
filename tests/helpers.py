"""Shared by several topics: reference arrays, numerical gradients and a clock."""

from collections.abc import Callable

import numpy as np


def nhwc(array: np.ndarray) -> np.ndarray:
    """Return (B, C, H, W) as (B, H, W, C)."""
    return np.transpose(array, (0, 2, 3, 1))


def nchw(tensor) -> np.ndarray:
    """Return (B, H, W, C) as (B, C, H, W)."""
    return np.transpose(np.asarray(tensor), (0, 3, 1, 2))


def assert_close(actual, expected, noise: float = 0.0):
    """Compare with the tolerance that the reference arrays' README gives."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    tolerance = max(20 * noise, 1e-5 * np.abs(expected).max())
    assert np.abs(actual - expected).max() <= tolerance


def numerical_gradient(function: Callable, x: np.ndarray, step=1e-6) -> np.ndarray:
    """Return the central differences of a scalar function of a float64 array."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        shifted = x.copy()
        shifted[index] += step
        upper = function(shifted)
        shifted[index] -= 2 * step
        gradient[index] = (upper - function(shifted)) / (2 * step)
    return gradient


def load_conv(layer, weights, prefix: str):
    """Put a PyTorch convolution's arrays into a Keras one."""
    layer.kernel.assign(weights[f"{prefix}.weight"].transpose(2, 3, 1, 0))
    if layer.use_bias:
        layer.bias.assign(weights[f"{prefix}.bias"])


def load_norm(layer, weights, prefix: str):
    """Put a PyTorch BatchNorm's arrays into a Keras one."""
    layer.gamma.assign(weights[f"{prefix}.weight"])
    layer.beta.assign(weights[f"{prefix}.bias"])
    layer.moving_mean.assign(weights[f"{prefix}.running_mean"])
    layer.moving_variance.assign(weights[f"{prefix}.running_var"])


def load_conv_block(block, weights, conv: str, norm: str):
    """Put a PyTorch convolution and BatchNorm into a `ConvBlock`."""
    load_conv(block.conv, weights, conv)
    load_norm(block.norm, weights, norm)


def twelve_bits(x):
    """Round to twelve significant bits, in float64."""
    mantissa, exponent = np.frexp(np.asarray(x, np.float64))
    return np.ldexp(np.round(np.ldexp(mantissa, 12)), exponent - 12)


def clock(*pattern):
    """A clock by which timed calls take `pattern` seconds, again and again."""
    state = {"now": 0.0, "reads": 0}

    def read():
        if state["reads"] % 2:
            state["now"] += pattern[state["reads"] // 2 % len(pattern)]
        state["reads"] += 1
        return state["now"]

    return read


def randomise(model):
    """Give a model random biases, factors and BatchNorm statistics."""
    random = np.random.default_rng(0)
    for weight in model.weights:
        name = weight.path.rsplit("/", 1)[-1]
        if name in ("gamma", "moving_variance"):
            weight.assign(random.uniform(0.5, 1.5, weight.shape))
        elif name in ("beta", "bias", "moving_mean"):
            weight.assign(random.normal(0, 0.3, weight.shape))
    return model
