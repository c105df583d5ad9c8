"""Shapes of the TFLite operators that slide windows over images or resize them.

Each rule takes an operator's input tensors and its options, checks what the kernels
take for granted, and returns the shape of the output; (B, H, W, C) throughout.
"""

from keras_frm.runtime.tflite.flatbuffer import require

_SAME, _VALID = 0, 1
_MAX_WINDOW = 2**15  # stride, dilation and size of a window; kernels multiply them


def conv_2d(inputs, options):
    """CONV_2D; the filter is (C_out, h, w, C_in), with groups if C_in is a part."""
    image, kernel, bias = _image_kernel_bias(inputs)
    padding, stride_w, stride_h, activation, dilation_w, dilation_h, _ = options
    batch, height, width, channels = image.shape
    filters, rows, columns, depth = kernel.shape
    require(channels % depth == 0, "its channels do not fit its filter")
    require(filters % (channels // depth) == 0, "its groups do not fit its filter")
    check_activation(activation)
    _check_weights(image, kernel, bias, filters, axis=0)
    return (
        batch,
        _slid(height, rows, stride_h, dilation_h, padding),
        _slid(width, columns, stride_w, dilation_w, padding),
        filters,
    )


def depthwise_conv_2d(inputs, options):
    """DEPTHWISE_CONV_2D; the filter is (1, h, w, C * multiplier)."""
    image, kernel, bias = _image_kernel_bias(inputs)
    padding, stride_w, stride_h, multiplier, activation, dilation_w, dilation_h = (
        options
    )
    batch, height, width, channels = image.shape
    one, rows, columns, filters = kernel.shape
    require(
        one == 1 and filters == channels * multiplier,
        "its channels do not fit its filter",
    )
    check_activation(activation)
    _check_weights(image, kernel, bias, filters, axis=3)
    return (
        batch,
        _slid(height, rows, stride_h, dilation_h, padding),
        _slid(width, columns, stride_w, dilation_w, padding),
        filters,
    )


def transpose_conv(inputs, options):
    """TRANSPOSE_CONV; the inputs are output shape, filter, image and bias."""
    size, kernel, image = inputs[:3]
    bias = inputs[3] if len(inputs) > 3 else None
    padding, stride_w, stride_h, activation, _ = options
    require(len(image.shape) == len(kernel.shape) == 4, "its inputs have no four axes")
    shape = numbers(size, 4)
    batch, height, width, filters = shape
    require(min(shape) > 0, "its output shape is not positive")
    require(batch == image.shape[0], "its batches differ")
    require(kernel.shape[0] == filters, "its filter does not fit its output")
    require(kernel.shape[3] == image.shape[3], "its filter does not fit its input")
    smaller = (
        _slid(height, kernel.shape[1], stride_h, 1, padding),
        _slid(width, kernel.shape[2], stride_w, 1, padding),
    )
    require(image.shape[1:3] == smaller, "its input does not fit its output")
    check_activation(activation)
    _check_weights(image, kernel, bias, filters, axis=0)
    return shape


def pool_2d(inputs, options):
    """AVERAGE_POOL_2D and MAX_POOL_2D."""
    (image,) = inputs
    padding, stride_w, stride_h, columns, rows, activation = options
    require(len(image.shape) == 4, "its input has no four axes")
    batch, height, width, channels = image.shape
    check_activation(activation)
    return (
        batch,
        _slid(height, rows, stride_h, 1, padding),
        _slid(width, columns, stride_w, 1, padding),
        channels,
    )


def resize(inputs, options):
    """RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR."""
    image, size = inputs
    align_corners, half_pixel_centres = options[-2:]
    require(len(image.shape) == 4, "its input has no four axes")
    require(not (align_corners and half_pixel_centres), "it has two ways of sampling")
    height, width = numbers(size, 2)
    require(min(height, width) > 0, "its size is not positive")
    return (image.shape[0], height, width, image.shape[3])


def depth_to_space(inputs, options):
    """DEPTH_TO_SPACE."""
    batch, height, width, channels = _image(inputs)
    (block,) = options
    require(block > 0 and channels % block**2 == 0, "its block does not fit")
    return (batch, height * block, width * block, channels // block**2)


def space_to_depth(inputs, options):
    """SPACE_TO_DEPTH."""
    batch, height, width, channels = _image(inputs)
    (block,) = options
    require(
        block > 0 and height % block == 0 and width % block == 0,
        "its block does not fit",
    )
    return (batch, height // block, width // block, channels * block**2)


def space_to_batch(inputs, options):
    """SPACE_TO_BATCH_ND, over height and width."""
    batch, height, width, channels = _image(inputs)
    rows, columns = numbers(inputs[1], 2)
    top, bottom, left, right = numbers(inputs[2], 4)
    require(inputs[2].shape == (2, 2), "its padding has another shape")
    require(min(top, bottom, left, right) >= 0, "its padding is negative")
    height, width = height + top + bottom, width + left + right
    require(min(rows, columns) > 0, "its block is not positive")
    require(height % rows == 0 and width % columns == 0, "its block does not fit")
    return (batch * rows * columns, height // rows, width // columns, channels)


def batch_to_space(inputs, options):
    """BATCH_TO_SPACE_ND, over height and width."""
    batch, height, width, channels = _image(inputs)
    rows, columns = numbers(inputs[1], 2)
    top, bottom, left, right = numbers(inputs[2], 4)
    require(inputs[2].shape == (2, 2), "its crops have another shape")
    require(min(top, bottom, left, right) >= 0, "its crops are negative")
    require(min(rows, columns) > 0, "its block is not positive")
    require(batch % (rows * columns) == 0, "its block does not fit")
    height = height * rows - top - bottom
    width = width * columns - left - right
    return (batch // (rows * columns), height, width, channels)


def numbers(tensor, count: int | None = None) -> tuple[int, ...]:
    """Return the values of a constant tensor of integers, row by row."""
    require(
        tensor.constant is not None,
        "it has sizes that are computed at run time; export the model with a fixed "
        "input size and batch 1",
    )
    require(tensor.type in ("int32", "int64"), "its sizes are not integers")
    require(count in (None, tensor.constant.size), "its sizes have another count")
    return tuple(int(value) for value in tensor.constant.ravel())


def check_activation(activation: int) -> None:
    """Check the activation that is part of an operator."""
    require(0 <= activation <= 3, "its activation is unknown")  # none, ReLU, N1_1, 6


def _image(inputs) -> tuple[int, ...]:
    """Return the shape (B, H, W, C) of the first input."""
    require(len(inputs[0].shape) == 4, "its input has no four axes")
    return inputs[0].shape


def _image_kernel_bias(inputs):
    """Return the inputs of a convolution; the bias may be None."""
    image, kernel = inputs[:2]
    require(len(image.shape) == len(kernel.shape) == 4, "its inputs have no four axes")
    return image, kernel, inputs[2] if len(inputs) > 2 else None


def _check_weights(image, kernel, bias, filters: int, axis: int) -> None:
    """Check types, bias and scales of a convolution's weights."""
    if bias is not None:
        require(bias.shape == (filters,), "its bias does not fit its filter")
        types = ("float32",) if image.type == "float32" else ("int32", "int64")
        require(bias.type in types, "its bias has another type")
    if kernel.quantization is not None:
        several = len(kernel.quantization.scales) > 1
        require(
            not several or kernel.quantization.axis == axis, "its scales do not fit"
        )


def _slid(side: int, window: int, stride: int, dilation: int, padding: int) -> int:
    """Return how often a window fits along a side."""
    require(
        all(1 <= value <= _MAX_WINDOW for value in (window, stride, dilation)),
        "its window, stride or dilation is out of range",
    )
    require(padding in (_SAME, _VALID), "its padding is unknown")
    if padding == _SAME:
        return -(-side // stride)
    covered = side - (window - 1) * dilation
    require(covered > 0, "its window is larger than its input")
    return -(-covered // stride)
