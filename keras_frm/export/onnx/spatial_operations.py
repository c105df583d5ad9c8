"""How pools, resizings and paddings are written as ONNX nodes."""

import numpy as np

from keras_frm.export.onnx.convolutions import paddings, per_axis
from keras_frm.export.onnx.graph_writer import GraphWriter, Value, stored_shape
from keras_frm.export.onnx.operations import OnnxCall, axes_of, emits, reduced_over_axes
from keras_frm.graph.passes.primitive_layers import is_plain_resize

# === Pools and means ===

_POOLS = {"AveragePool": "AveragePool", "AveragePooling2D": "AveragePool"}
_POOLS |= {"MaxPool": "MaxPool", "MaxPooling2D": "MaxPool"}


@emits(*_POOLS)
def _pool(writer: GraphWriter, call: OnnxCall) -> Value:
    operation, x = call.operation, call.x
    kind = _POOLS[type(operation).__name__]
    windows = per_axis(operation.pool_size, 2)
    strides = per_axis(operation.strides or operation.pool_size, 2)
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
    x, keeps = call.x, bool(call.operation.keepdims)
    if x.rank == 4 and axes_of(call) == [1, 2] and keeps:
        name = writer.node("GlobalAveragePool", [writer.first(x)], call.name)
        return Value(name, call.shape, first=True)
    return reduced_over_axes(writer, "ReduceMean", call)


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
        align_corners=int(call.operation.align_corners),
    )
    return Value(name, call.shape, first=True)


@emits("DepthToSpace")
def _depth_to_space(writer: GraphWriter, call: OnnxCall) -> Value:
    # The node's own order of channels, DCR, is (row, column, channel) too.
    block = call.operation.block
    x = writer.first(call.x)
    name = writer.node("DepthToSpace", [x], call.name, blocksize=block, mode="DCR")
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
