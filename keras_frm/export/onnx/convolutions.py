"""How convolutions are written as ONNX nodes, with the padding before them."""

from collections.abc import Callable

import keras
import numpy as np

from keras_frm.export.onnx.graph_writer import GraphWriter, Value
from keras_frm.export.onnx.operations import OnnxCall, emits


def paddings(sizes, results, windows, strides, padding: str) -> list[int]:
    """Return what is added before and after each axis, as ONNX lists it.

    TensorFlow adds the odd pixel at the end, which no `auto_pad` says for all sizes.

    Args:
        sizes: Sizes of the input.
        results: Sizes of the result.
        windows: Pixels from the first to the last of a window.
        strides: Distance of two windows.
        padding: "same" or "valid".

    Example:
    >>> paddings((5, 4), (3, 2), (3, 3), (2, 2), "same")
    [1, 0, 1, 1]
    """
    if padding == "valid":
        return [0] * (2 * len(sizes))
    missing = [
        max((result - 1) * stride + window - size, 0)
        for size, result, window, stride in zip(
            sizes, results, windows, strides, strict=True
        )
    ]
    before = [number // 2 for number in missing]
    return before + [a - b for a, b in zip(missing, before, strict=True)]


@emits("Conv1D", "Conv2D", "DepthwiseConv2D", "LargeDepthwiseConv2D")
def _convolution(writer: GraphWriter, call: OnnxCall) -> Value:
    layer = call.operation
    kernel = np.asarray(layer.kernel, np.float32)
    return convolution(writer, call, layer, kernel, writer.constant)


def convolution(
    writer: GraphWriter,
    call: OnnxCall,
    layer: keras.layers.Layer,
    kernel: np.ndarray,
    constant: Callable[[np.ndarray, str], str],
) -> Value:
    """Write a convolution.

    Args:
        writer: What collects the nodes.
        call: The call of it, or of a layer around it.
        layer: The convolution.
        kernel: Its kernel, (h, w, C_in, C_out), (w, C_in, C_out) or (h, w, C,
            multiplier).
        constant: Writes the kernel as ONNX has it, (C_out, C_in / groups, h, w), under
            a name, and returns the name of what the node takes.
    """
    rank = kernel.ndim - 2
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        height, width, groups, multiplier = kernel.shape
        kernel = kernel.transpose(2, 3, 0, 1)  # (C, multiplier, h, w)
        kernel = kernel.reshape(groups * multiplier, 1, height, width)
    else:
        kernel, groups = np.moveaxis(kernel, (-1, -2), (0, 1)), layer.groups
    x, pads = writer.before_padding(call.x)
    if layer.padding == "same":
        x, pads = call.x, None
    dilation = per_axis(layer.dilation_rate, rank)
    strides = per_axis(layer.strides, rank)
    windows = _extents(kernel, dilation)
    own = paddings(
        *(call.x.shape[1:-1], call.shape[1:-1], windows, strides, layer.padding)
    )
    pads = pads or [0] * len(own)
    weights = [constant(kernel, f"{call.name}.kernel"), *_bias(writer, call, layer)]
    name = writer.node(
        *("Conv", [writer.first(x), *weights], call.name),
        kernel_shape=list(kernel.shape[2:]),
        strides=strides,
        dilations=dilation,
        group=groups,
        pads=[a + b for a, b in zip(pads, own, strict=True)],
    )
    return Value(name, call.shape, first=True)


@emits("Conv2DTranspose")
def _transposed_convolution(writer: GraphWriter, call: OnnxCall) -> Value:
    layer, x = call.operation, call.x
    kernel = np.asarray(layer.kernel, np.float32)  # (h, w, C_out, C_in)
    kernel = kernel.transpose(3, 2, 0, 1)
    strides, dilation = per_axis(layer.strides, 2), per_axis(layer.dilation_rate, 2)
    windows = _extents(kernel, dilation)
    # It is the gradient of a convolution from its result's size to its input's.
    pads = paddings(*(call.shape[1:3], x.shape[1:3], windows, strides, layer.padding))
    sizes = zip(x.shape[1:3], call.shape[1:3], windows, strides, strict=True)
    beyond = [
        result - ((size - 1) * stride + window - pads[axis] - pads[axis + 2])
        for axis, (size, result, window, stride) in enumerate(sizes)
    ]
    kernel_name = writer.constant(kernel, f"{call.name}.kernel")
    weights = [kernel_name, *_bias(writer, call, layer)]
    name = writer.node(
        *("ConvTranspose", [writer.first(x), *weights], call.name),
        kernel_shape=list(kernel.shape[2:]),
        strides=strides,
        dilations=dilation,
        pads=pads,
        output_padding=beyond,
    )
    return Value(name, call.shape, first=True)


def _bias(writer, call, layer) -> list[str]:
    """Return the name of a layer's bias, or nothing where it has none."""
    if not layer.use_bias:
        return []
    bias = np.asarray(layer.bias, np.float32)
    return [writer.constant(bias, f"{call.name}.bias")]


def _extents(kernel, dilation) -> list[int]:
    """Return the pixels from the first to the last tap of a kernel (O, I, ...)."""
    return [
        (size - 1) * rate + 1
        for size, rate in zip(kernel.shape[2:], dilation, strict=True)
    ]


def per_axis(sizes, rank: int) -> list[int]:
    """Return one integer for each axis, of one for all or of several.

    Example:
    >>> per_axis(3, 2)
    [3, 3]
    """
    return [int(size) for size in np.broadcast_to(sizes, rank)]
