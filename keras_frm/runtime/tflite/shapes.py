"""Shapes of the TFLite operators: what each makes of its inputs.

A rule takes an operator's input tensors and its options, checks what the kernels take
for granted, and returns the shape of the output, a list of them for several outputs, or
`Elements` where only their number is given.
"""

import math
from collections.abc import Callable

import numpy as np

from keras_frm.runtime.tflite import layout as layout
from keras_frm.runtime.tflite import windows as windows
from keras_frm.runtime.tflite.flatbuffer import require
from keras_frm.runtime.tflite.layout import axis_of
from keras_frm.runtime.tflite.windows import check_activation, numbers


def _same(inputs, options):
    """Elementwise operators of one input."""
    return inputs[0].shape


def _broadcast(inputs, options):
    """Elementwise operators of two inputs."""
    first, second = (tensor.shape for tensor in inputs)
    if options:
        check_activation(options[0])
    # The kernels that stretch axes count four of them.
    require(
        first == second or max(len(first), len(second)) <= 4, "it has over four axes"
    )
    try:
        return np.broadcast_shapes(first, second)
    except ValueError:
        require(False, f"shapes {first} and {second} do not go together")


def _prelu(inputs, options):
    """PRELU."""
    require(_broadcast(inputs, ()) == inputs[0].shape, "its slopes do not fit")
    return inputs[0].shape


def _l2_normalization(inputs, options):
    """L2_NORMALIZATION."""
    require(1 <= len(inputs[0].shape) <= 4, "it has over four axes")
    return inputs[0].shape


def _softmax(inputs, options):
    """SOFTMAX."""
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
    """FULLY_CONNECTED."""
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
    """BATCH_MATMUL."""
    left, right = (tensor.shape for tensor in inputs)
    require(2 <= len(left) <= 5 and 2 <= len(right) <= 5, "it has too few or many axes")
    rows, inner = left[-2:][::-1] if options[0] else left[-2:]
    depth, columns = right[-2:][::-1] if options[1] else right[-2:]
    require(inner == depth, f"shapes {left} and {right} do not go together")
    try:
        return (*np.broadcast_shapes(left[:-2], right[:-2]), rows, columns)
    except ValueError:
        require(False, f"shapes {left} and {right} do not go together")


def _reduce(inputs, options):
    """MEAN, SUM, REDUCE_MAX and REDUCE_MIN."""
    shape = inputs[0].shape
    axes = {axis_of(axis, len(shape)) for axis in numbers(inputs[1])}
    if options[0]:
        return tuple(1 if axis in axes else side for axis, side in enumerate(shape))
    return tuple(side for axis, side in enumerate(shape) if axis not in axes)


def _arg_max(inputs, options):
    """ARG_MAX."""
    shape = inputs[0].shape
    (axis,) = numbers(inputs[1], 1)
    axis = axis_of(axis, len(shape))
    return (*shape[:axis], *shape[axis + 1 :])


_UNARY = (
    "DEQUANTIZE FLOOR LOGISTIC RELU RELU_N1_TO_1 RELU6 TANH EXP CAST NEG SQRT RSQRT "
    "SQUARE LEAKY_RELU ABS ELU QUANTIZE ROUND HARD_SWISH GELU"
)
_BINARY = "ADD MUL SUB DIV MAXIMUM MINIMUM POW SQUARED_DIFFERENCE"

RULES: dict[str, Callable] = {
    **dict.fromkeys(_UNARY.split(), _same),
    **dict.fromkeys(_BINARY.split(), _broadcast),
    "PRELU": _prelu,
    "L2_NORMALIZATION": _l2_normalization,
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
    "CONCATENATION": layout.concatenation,
    "SPLIT": layout.split,
    "SPLIT_V": layout.split_v,
    "PACK": layout.pack,
    "UNPACK": layout.unpack,
    "RESHAPE": layout.reshape,
    "EXPAND_DIMS": layout.expand_dims,
    "SQUEEZE": layout.squeeze,
    "TRANSPOSE": layout.transpose,
    "PAD": layout.pad,
    "PADV2": layout.pad,
    "MIRROR_PAD": layout.mirror_pad,
    "MEAN": _reduce,
    "SUM": _reduce,
    "REDUCE_MAX": _reduce,
    "REDUCE_MIN": _reduce,
    "ARG_MAX": _arg_max,
    "SLICE": layout.slice_,
    "STRIDED_SLICE": layout.strided_slice,
    "GATHER": layout.gather,
    "BROADCAST_TO": layout.broadcast_to,
}
