"""Shapes of the TFLite operators: what each makes of its inputs.

A rule takes an operator's input tensors and its options, checks what the kernels take
for granted, and returns the shape of the output, a list of them for several outputs, or
`ANY_OF_SIZE` with the number of elements.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from keras_frm.runtime import tflite_windows as windows
from keras_frm.runtime.tflite_windows import check_activation, numbers, require


class Elements(NamedTuple):
    """Any shape with this number of elements."""

    count: int


def _same(inputs, options):
    return inputs[0].shape


def _broadcast(inputs, options):
    """Elementwise operators of two inputs."""
    first, second = (tensor.shape for tensor in inputs)
    require(len(options) == 0 or check_activation(options[0]) is None, "")
    # The kernels that stretch axes count four of them.
    require(
        first == second or max(len(first), len(second)) <= 4, "it has over four axes"
    )
    try:
        return np.broadcast_shapes(first, second)
    except ValueError:
        require(False, f"shapes {first} and {second} do not go together")


def _prelu(inputs, options):
    require(_broadcast(inputs, ()) == inputs[0].shape, "its slopes do not fit")
    return inputs[0].shape


def _softmax(inputs, options):
    require(1 <= len(inputs[0].shape) <= 4, "it has over four axes")
    (beta,) = options
    require(math.isfinite(beta) and beta > 0, "its beta is not positive")
    quantization = inputs[0].quantization
    # The kernels of integers need a factor above one.
    require(
        quantization is None or beta * float(quantization.scales[0]) * 2**26 > 1,
        "its scale is out of range",
    )
    return inputs[0].shape


def _fully_connected(inputs, options):
    image, weights = inputs[:2]
    activation, weights_format, keep_axes, _, _ = options
    require(len(weights.shape) == 2, "its weights are no matrix")
    units, depth = weights.shape
    count = math.prod(image.shape)
    require(weights_format == 0 and count % depth == 0, "its weights do not fit")
    if len(inputs) > 2 and inputs[2] is not None:
        require(inputs[2].shape == (units,), "its bias does not fit")
    check_activation(activation)
    if keep_axes:
        require(image.shape[-1:] == (depth,), "its weights do not fit")
        return (*image.shape[:-1], units)
    return (count // depth, units)


def _batch_matmul(inputs, options):
    left, right = (tensor.shape for tensor in inputs)
    require(2 <= len(left) <= 5 and 2 <= len(right) <= 5, "it has too few or many axes")
    rows, inner = left[-2:][::-1] if options[0] else left[-2:]
    depth, columns = right[-2:][::-1] if options[1] else right[-2:]
    require(inner == depth, f"shapes {left} and {right} do not go together")
    try:
        return (*np.broadcast_shapes(left[:-2], right[:-2]), rows, columns)
    except ValueError:
        require(False, f"shapes {left} and {right} do not go together")


def _concatenation(inputs, options):
    axis, activation = options
    shapes = [tensor.shape for tensor in inputs]
    axis = _axis(axis, len(shapes[0]))
    check_activation(activation)
    others = {(*shape[:axis], *shape[axis + 1 :], len(shape)) for shape in shapes}
    require(len(others) == 1, "its inputs do not fit each other")
    total = sum(shape[axis] for shape in shapes)
    return (*shapes[0][:axis], total, *shapes[0][axis + 1 :])


def _split(inputs, options):
    axis, image = inputs
    (count,) = options
    (axis,) = numbers(axis, 1)
    axis = _axis(axis, len(image.shape))
    require(count > 0 and image.shape[axis] % count == 0, "its parts do not fit")
    part = image.shape[axis] // count
    return [(*image.shape[:axis], part, *image.shape[axis + 1 :])] * count


def _split_v(inputs, options):
    image, sizes, axis = inputs
    sizes = list(numbers(sizes))
    (axis,) = numbers(axis, 1)
    axis = _axis(axis, len(image.shape))
    require(options[0] == len(sizes), "its parts do not fit")
    require(sizes.count(-1) <= 1, "its parts do not fit")
    if -1 in sizes:
        sizes[sizes.index(-1)] = image.shape[axis] - (sum(sizes) + 1)
    require(min(sizes) > 0 and sum(sizes) == image.shape[axis], "its parts do not fit")
    return [(*image.shape[:axis], s, *image.shape[axis + 1 :]) for s in sizes]


def _pack(inputs, options):
    count, axis = options
    shape = inputs[0].shape
    axis = _axis(axis, len(shape) + 1)
    require(count == len(inputs), "its count is another than its inputs'")
    require(all(t.shape == shape for t in inputs), "its inputs do not fit each other")
    return (*shape[:axis], count, *shape[axis:])


def _unpack(inputs, options):
    count, axis = options
    shape = inputs[0].shape
    axis = _axis(axis, len(shape))
    require(count == shape[axis], "its parts do not fit")
    return [(*shape[:axis], *shape[axis + 1 :])] * count


def _reshape(inputs, options):
    if len(inputs) == 2:
        numbers(inputs[1])
    return Elements(math.prod(inputs[0].shape))


def _expand_dims(inputs, options):
    shape = inputs[0].shape
    (axis,) = numbers(inputs[1], 1)
    axis = _axis(axis, len(shape) + 1)
    return (*shape[:axis], 1, *shape[axis:])


def _squeeze(inputs, options):
    shape = inputs[0].shape
    axes = {_axis(axis, len(shape)) for axis in (options[0] if options else ())}
    require(all(shape[axis] == 1 for axis in axes), "it drops an axis that is not 1")
    return tuple(
        side
        for axis, side in enumerate(shape)
        if not (axis in axes if axes else side == 1)
    )


def _transpose(inputs, options):
    shape = inputs[0].shape
    order = numbers(inputs[1], len(shape))
    order = [_axis(axis, len(shape)) for axis in order]
    require(sorted(order) == list(range(len(shape))), "its order is no permutation")
    return tuple(shape[axis] for axis in order)


def _pad(inputs, options):
    shape = inputs[0].shape
    require(inputs[1].shape == (len(shape), 2), "its padding has another shape")
    require(len(shape) <= 4, "it has over four axes")
    amounts = numbers(inputs[1])
    require(min(amounts) >= 0, "its padding is negative")
    require(len(inputs) < 3 or inputs[2].shape in ((), (1,)), "its value is no number")
    pairs = zip(shape, amounts[::2], amounts[1::2], strict=True)
    return tuple(before + side + after for side, before, after in pairs)


def _mirror_pad(inputs, options):
    shape = inputs[0].shape
    padded = _pad(inputs, ())
    (mode,) = options  # 0 leaves out the edge, 1 repeats it
    require(mode in (0, 1), "its mode is unknown")
    longest = np.repeat(shape, 2) - (1 - mode)
    require(bool((numbers(inputs[1]) <= longest).all()), "its padding is too long")
    return padded


def _reduce(inputs, options):
    shape = inputs[0].shape
    axes = {_axis(axis, len(shape)) for axis in numbers(inputs[1])}
    if options[0]:
        return tuple(1 if axis in axes else side for axis, side in enumerate(shape))
    return tuple(side for axis, side in enumerate(shape) if axis not in axes)


def _arg_max(inputs, options):
    shape = inputs[0].shape
    (axis,) = numbers(inputs[1], 1)
    axis = _axis(axis, len(shape))
    return (*shape[:axis], *shape[axis + 1 :])


def _slice(inputs, options):
    shape = inputs[0].shape
    require(len(shape) <= 5, "it has over five axes")
    starts, sizes = (numbers(tensor, len(shape)) for tensor in inputs[1:])
    result = []
    for side, start, size in zip(shape, starts, sizes, strict=True):
        size = side - start if size == -1 else size
        require(start >= 0 and size > 0 and start + size <= side, "it leaves its input")
        result.append(size)
    return tuple(result)


def _strided_slice(inputs, options):
    shape = inputs[0].shape
    begin_mask, end_mask, ellipsis, new_axis, shrink, offset = options
    require(len(shape) <= 4, "it has over four axes")
    require(not (ellipsis or new_axis or offset), "its masks are not supported")
    begins, ends, strides = (numbers(tensor, len(shape)) for tensor in inputs[1:])
    result = []
    for axis, side in enumerate(shape):
        bit = 1 << axis
        require(0 < abs(strides[axis]) <= 2**20, "its stride is out of range")
        if shrink & bit:
            require(-side <= begins[axis] < side, "it leaves its input")
            require(strides[axis] > 0, "its stride is out of range")
            continue
        chosen = slice(
            None if begin_mask & bit else begins[axis],
            None if end_mask & bit else ends[axis],
            strides[axis],
        )
        result.append(len(range(side)[chosen]))
    return tuple(result)


def _gather(inputs, options):
    data, indices = inputs
    axis, batch_axes = options
    axis = _axis(axis, len(data.shape))
    require(batch_axes == 0, "it has batches")
    values = numbers(indices)
    require(min(values) >= 0 and max(values) < data.shape[axis], "it leaves its input")
    return (*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :])


def _broadcast_to(inputs, options):
    shape = numbers(inputs[1])
    try:
        fits = np.broadcast_shapes(inputs[0].shape, shape) == shape
    except ValueError:
        fits = False
    require(fits and len(shape) <= 5, "its shapes do not go together")
    return shape


def _axis(axis: int, rank: int) -> int:
    """Return an axis counted from the front."""
    require(-rank <= axis < rank, f"axis {axis} is not one of {rank}")
    return axis % rank


_UNARY = (
    "DEQUANTIZE FLOOR LOGISTIC RELU RELU_N1_TO_1 RELU6 TANH EXP CAST NEG SQRT RSQRT "
    "SQUARE LEAKY_RELU ABS ELU QUANTIZE HARD_SWISH GELU"
)
_BINARY = "ADD MUL SUB DIV MAXIMUM MINIMUM POW SQUARED_DIFFERENCE"

RULES: dict[str, Callable] = {
    **dict.fromkeys(_UNARY.split(), _same),
    **dict.fromkeys(_BINARY.split(), _broadcast),
    "PRELU": _prelu,
    "SOFTMAX": _softmax,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _batch_matmul,
    "CONV_2D": windows.conv_2d,
    "DEPTHWISE_CONV_2D": windows.depthwise_conv_2d,
    "TRANSPOSE_CONV": windows.transpose_conv,
    "AVERAGE_POOL_2D": windows.pool_2d,
    "MAX_POOL_2D": windows.pool_2d,
    "RESIZE_BILINEAR": windows.resize,
    "RESIZE_NEAREST_NEIGHBOR": windows.resize,
    "DEPTH_TO_SPACE": windows.depth_to_space,
    "SPACE_TO_DEPTH": windows.space_to_depth,
    "SPACE_TO_BATCH_ND": windows.space_to_batch,
    "BATCH_TO_SPACE_ND": windows.batch_to_space,
    "CONCATENATION": _concatenation,
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "PACK": _pack,
    "UNPACK": _unpack,
    "RESHAPE": _reshape,
    "EXPAND_DIMS": _expand_dims,
    "SQUEEZE": _squeeze,
    "TRANSPOSE": _transpose,
    "PAD": _pad,
    "PADV2": _pad,
    "MIRROR_PAD": _mirror_pad,
    "MEAN": _reduce,
    "SUM": _reduce,
    "REDUCE_MAX": _reduce,
    "REDUCE_MIN": _reduce,
    "ARG_MAX": _arg_max,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
    "GATHER": _gather,
    "BROADCAST_TO": _broadcast_to,
}
