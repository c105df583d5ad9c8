"""How convolutions, pools, resizings and paddings are written as ONNX nodes."""

from collections.abc import Callable

import keras
import numpy as np

from keras_frm.export.onnx.graph_writer import GraphWriter, Value, stored_shape
from keras_frm.export.onnx.operations import OnnxCall, emits, reduced
from keras_frm.graph.passes.primitive_layers import is_plain_resize


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


# === Convolutions ===


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
    dilation, strides = _each(layer.dilation_rate, rank), _each(layer.strides, rank)
    windows = [
        (size - 1) * rate + 1
        for size, rate in zip(kernel.shape[2:], dilation, strict=True)
    ]
    own = paddings(
        *(call.x.shape[1:-1], call.shape[1:-1], windows, strides, layer.padding)
    )
    pads = pads or [0] * len(own)
    inputs = [writer.first(x), constant(kernel, f"{call.name}.kernel")]
    if layer.use_bias:
        bias = np.asarray(layer.bias, np.float32)
        inputs.append(writer.constant(bias, f"{call.name}.bias"))
    name = writer.node(
        *("Conv", inputs, call.name),
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
    strides, dilation = _each(layer.strides, 2), _each(layer.dilation_rate, 2)
    windows = [
        (size - 1) * rate + 1
        for size, rate in zip(kernel.shape[2:], dilation, strict=True)
    ]
    # It is the gradient of a convolution from its result's size to its input's.
    pads = paddings(*(call.shape[1:3], x.shape[1:3], windows, strides, layer.padding))
    sizes = zip(x.shape[1:3], call.shape[1:3], windows, strides, strict=True)
    beyond = [
        result - ((size - 1) * stride + window - pads[axis] - pads[axis + 2])
        for axis, (size, result, window, stride) in enumerate(sizes)
    ]
    inputs = [writer.first(x), writer.constant(kernel, f"{call.name}.kernel")]
    if layer.use_bias:
        bias = np.asarray(layer.bias, np.float32)
        inputs.append(writer.constant(bias, f"{call.name}.bias"))
    name = writer.node(
        *("ConvTranspose", inputs, call.name),
        kernel_shape=list(kernel.shape[2:]),
        strides=strides,
        dilations=dilation,
        pads=pads,
        output_padding=beyond,
    )
    return Value(name, call.shape, first=True)


def _each(sizes, rank: int) -> list[int]:
    """Return one integer for each axis of one or several."""
    return [int(size) for size in np.broadcast_to(sizes, rank)]


# === Pools and means ===

_POOLS = {"AveragePool": "AveragePool", "AveragePooling2D": "AveragePool"}
_POOLS |= {"MaxPool": "MaxPool", "MaxPooling2D": "MaxPool"}


@emits(*_POOLS)
def _pool(writer: GraphWriter, call: OnnxCall) -> Value:
    operation, x = call.operation, call.x
    kind = _POOLS[type(operation).__name__]
    windows = _each(operation.pool_size, 2)
    strides = _each(operation.strides or operation.pool_size, 2)
    pads = paddings(
        *(x.shape[1:3], call.shape[1:3], windows, strides, operation.padding)
    )
    # TensorFlow's means are of the pixels that are there.
    counted = {"count_include_pad": 0} if kind == "AveragePool" else {}
    name = writer.node(
        *(kind, [writer.first(x)], call.name),
        kernel_shape=windows,
        strides=strides,
        pads=pads,
        **counted,
    )
    return Value(name, call.shape, first=True)


@emits("Mean", "GlobalAveragePooling2D")
def _mean(writer: GraphWriter, call: OnnxCall) -> Value:
    operation, x = call.operation, call.x
    axes = getattr(operation, "axis", (1, 2))
    axes = range(x.rank) if axes is None else np.ravel(axes).tolist()
    axes = sorted(axis % x.rank for axis in axes)
    keepdims = int(bool(operation.keepdims))
    if x.rank == 4 and axes == [1, 2] and keepdims:
        name = writer.node("GlobalAveragePool", [writer.first(x)], call.name)
        return Value(name, call.shape, first=True)
    stored = [x.stored_axis(axis) for axis in axes]
    first = x.first and bool(keepdims)
    source = x.name if first else writer.last(x)
    axes = stored if first else axes
    name = reduced(writer, "ReduceMean", source, axes, bool(keepdims), call.name)
    return Value(name, call.shape, first)


# === Sizes ===


@emits("Resize")
def _resize(writer: GraphWriter, call: OnnxCall) -> Value:
    operation = call.operation
    if not is_plain_resize(operation):
        raise ValueError(
            f"Resize '{call.name}' ({operation.interpolation}) has no rule in the "
            "export to ONNX, which has one for bilinear and for nearest ones without "
            "antialias and without a kept aspect ratio."
        )
    mode = {"bilinear": "linear", "nearest": "nearest"}[operation.interpolation]
    # TensorFlow's nearest pixel is the one that the centre falls into.
    nearest = {"nearest_mode": "round_prefer_ceil"} if mode == "nearest" else {}
    return _resized(writer, call, "half_pixel", mode=mode, **nearest)


@emits("AlignedUpsampling")
def _aligned_upsampling(writer: GraphWriter, call: OnnxCall) -> Value:
    return _resized(writer, call, "align_corners", mode="linear")


def _resized(writer, call, coordinates, **attributes):
    """Resize the first argument of a call to the size of its result."""
    inputs = [writer.first(call.x), ""]
    if writer.open_batch:
        sides = zip(call.x.shape[1:3], call.shape[1:3], strict=True)
        scales = [1, 1, *(scale_between(*pair) for pair in sides)]
        # In float32 whatever the graph computes in.
        inputs.append(writer.exact_constant(np.array(scales, np.float32), "scales"))
    else:
        sizes = writer.constant(stored_shape(call.shape, first=True), "sizes")
        inputs += ["", sizes]
    name = writer.node(
        *("Resize", inputs, call.name),
        coordinate_transformation_mode=coordinates,
        **attributes,
    )
    return Value(name, call.shape, first=True)


def scale_between(size: int, result: int) -> np.float32:
    """Return the factor that makes a size of another in any runtime.

    They round a product down, some in float32 and some in float64.

    Example:
    >>> scale = scale_between(47, 187)
    >>> int(np.float32(47) * scale), int(47 * float(scale))
    (187, 187)
    """
    scale = np.float32(result / size)
    while float(np.float32(size) * scale) < result or size * float(scale) < result:
        scale = np.nextafter(scale, np.float32(np.inf))
    return scale


@emits("FlowWarp")
def _flow_warp(writer: GraphWriter, call: OnnxCall) -> Value:
    x, flow = call.args
    _, height, width, _ = flow.shape
    rows, columns = (np.linspace(-1, 1, side) for side in (height, width))
    base = np.stack(np.meshgrid(columns, rows), -1)[None].astype(np.float32)
    share = np.array([1 / width, 1 / height], np.float32)
    share, base = (
        writer.constant(array, f"{call.name}.{text}")
        for text, array in (("share", share), ("base", base))
    )
    grid = writer.node("Mul", [writer.last(flow), share], f"{call.name}.offset")
    grid = writer.node("Add", [grid, base], f"{call.name}.grid")  # (B, H, W, 2)
    name = writer.node(
        *("GridSample", [writer.first(x), grid], call.name),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=1,
    )
    return Value(name, call.shape, first=True)


@emits("Pad", "ZeroPadding2D")
def _pad(writer: GraphWriter, call: OnnxCall) -> Value:
    operation, x = call.operation, call.x
    if type(operation).__name__ == "ZeroPadding2D":
        widths = [(0, 0), *operation.padding, (0, 0)]
        (top, bottom), (left, right) = operation.padding
        writer.note_padding(call.name, x, [top, left, bottom, right])
    else:
        widths = operation.pad_width
    widths = [widths[axis] for axis in x.order]
    amounts = [before for before, _ in widths] + [after for _, after in widths]
    amounts = writer.constant(np.array(amounts, np.int64), f"{call.name}.widths")
    name = writer.node("Pad", [x.name, amounts], call.name, mode="constant")
    return Value(name, call.shape, x.first)
