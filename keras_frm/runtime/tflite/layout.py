"""Shapes of the TFLite operators that move, cut and join values.

The rules are as in `tflite_shapes`.
"""

import math
from typing import NamedTuple

import numpy as np

from keras_frm.runtime.tflite.flatbuffer import require
from keras_frm.runtime.tflite.windows import check_activation, numbers


class Elements(NamedTuple):
    """Any shape with this number of elements."""

    count: int


def concatenation(inputs, options):
    """CONCATENATION."""
    axis, activation = options
    shapes = [tensor.shape for tensor in inputs]
    axis = axis_of(axis, len(shapes[0]))
    check_activation(activation)
    others = {(*shape[:axis], *shape[axis + 1 :], len(shape)) for shape in shapes}
    require(len(others) == 1, "its inputs do not fit each other")
    total = sum(shape[axis] for shape in shapes)
    return (*shapes[0][:axis], total, *shapes[0][axis + 1 :])


def split(inputs, options):
    """SPLIT."""
    axis, image = inputs
    (count,) = options
    (axis,) = numbers(axis, 1)
    axis = axis_of(axis, len(image.shape))
    require(count > 0 and image.shape[axis] % count == 0, "its parts do not fit")
    part = image.shape[axis] // count
    return [(*image.shape[:axis], part, *image.shape[axis + 1 :])] * count


def split_v(inputs, options):
    """SPLIT_V."""
    image, sizes, axis = inputs
    sizes = list(numbers(sizes))
    (axis,) = numbers(axis, 1)
    axis = axis_of(axis, len(image.shape))
    require(options[0] == len(sizes), "its parts do not fit")
    require(sizes.count(-1) <= 1, "its parts do not fit")
    if -1 in sizes:
        sizes[sizes.index(-1)] = image.shape[axis] - (sum(sizes) + 1)
    require(min(sizes) > 0 and sum(sizes) == image.shape[axis], "its parts do not fit")
    return [(*image.shape[:axis], s, *image.shape[axis + 1 :]) for s in sizes]


def pack(inputs, options):
    """PACK."""
    count, axis = options
    shape = inputs[0].shape
    axis = axis_of(axis, len(shape) + 1)
    require(count == len(inputs), "its count is another than its inputs'")
    require(all(t.shape == shape for t in inputs), "its inputs do not fit each other")
    return (*shape[:axis], count, *shape[axis:])


def unpack(inputs, options):
    """UNPACK."""
    count, axis = options
    shape = inputs[0].shape
    axis = axis_of(axis, len(shape))
    require(count == shape[axis], "its parts do not fit")
    return [(*shape[:axis], *shape[axis + 1 :])] * count


def reshape(inputs, options):
    """RESHAPE."""
    if len(inputs) == 2:
        numbers(inputs[1])
    return Elements(math.prod(inputs[0].shape))


def expand_dims(inputs, options):
    """EXPAND_DIMS."""
    shape = inputs[0].shape
    (axis,) = numbers(inputs[1], 1)
    axis = axis_of(axis, len(shape) + 1)
    return (*shape[:axis], 1, *shape[axis:])


def squeeze(inputs, options):
    """SQUEEZE."""
    shape = inputs[0].shape
    axes = {axis_of(axis, len(shape)) for axis in (options[0] if options else ())}
    require(all(shape[axis] == 1 for axis in axes), "it drops an axis that is not 1")
    return tuple(
        side
        for axis, side in enumerate(shape)
        if not (axis in axes if axes else side == 1)
    )


def transpose(inputs, options):
    """TRANSPOSE."""
    shape = inputs[0].shape
    order = numbers(inputs[1], len(shape))
    order = [axis_of(axis, len(shape)) for axis in order]
    require(sorted(order) == list(range(len(shape))), "its order is no permutation")
    return tuple(shape[axis] for axis in order)


def pad(inputs, options):
    """PAD and PADV2."""
    shape = inputs[0].shape
    require(inputs[1].shape == (len(shape), 2), "its padding has another shape")
    require(len(shape) <= 4, "it has over four axes")
    amounts = numbers(inputs[1])
    require(min(amounts) >= 0, "its padding is negative")
    require(len(inputs) < 3 or inputs[2].shape in ((), (1,)), "its value is no number")
    pairs = zip(shape, amounts[::2], amounts[1::2], strict=True)
    return tuple(before + side + after for side, before, after in pairs)


def mirror_pad(inputs, options):
    """MIRROR_PAD."""
    shape = inputs[0].shape
    padded = pad(inputs, ())
    (mode,) = options  # 0 leaves out the edge, 1 repeats it
    require(mode in (0, 1), "its mode is unknown")
    longest = np.repeat(shape, 2) - (1 - mode)
    require(bool((numbers(inputs[1]) <= longest).all()), "its padding is too long")
    return padded


def slice_(inputs, options):
    """SLICE."""
    shape = inputs[0].shape
    require(len(shape) <= 5, "it has over five axes")
    starts, sizes = (numbers(tensor, len(shape)) for tensor in inputs[1:])
    result = []
    for side, start, size in zip(shape, starts, sizes, strict=True):
        size = side - start if size == -1 else size
        require(start >= 0 and size > 0 and start + size <= side, "it leaves its input")
        result.append(size)
    return tuple(result)


def strided_slice(inputs, options):
    """STRIDED_SLICE."""
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


def gather(inputs, options):
    """GATHER."""
    data, indices = inputs
    axis, batch_axes = options
    axis = axis_of(axis, len(data.shape))
    require(batch_axes == 0, "it has batches")
    values = numbers(indices)
    require(min(values) >= 0 and max(values) < data.shape[axis], "it leaves its input")
    return (*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :])


def broadcast_to(inputs, options):
    """BROADCAST_TO."""
    shape = numbers(inputs[1])
    try:
        fits = np.broadcast_shapes(inputs[0].shape, shape) == shape
    except ValueError:
        fits = False
    require(fits and len(shape) <= 5, "its shapes do not go together")
    return shape


def axis_of(axis: int, rank: int) -> int:
    """Return an axis counted from the front."""
    require(-rank <= axis < rank, f"axis {axis} is not one of {rank}")
    return axis % rank
