"""Types and scales that the TFLite operators take: what the kernels do not check."""

from keras_frm.runtime.tflite.flatbuffer import require

_QUANTISED = ("int8", "uint8", "int16")

# Operators -> which inputs hold sizes or indices instead of values.
_SIZES = {
    "RESHAPE": {1},
    "RESIZE_BILINEAR": {1},
    "RESIZE_NEAREST_NEIGHBOR": {1},
    "PAD": {1},
    "PADV2": {1},
    "MIRROR_PAD": {1},
    "GATHER": {1},
    "BATCH_TO_SPACE_ND": {1, 2},
    "SPACE_TO_BATCH_ND": {1, 2},
    "TRANSPOSE": {1},
    "MEAN": {1},
    "SUM": {1},
    "REDUCE_MAX": {1},
    "REDUCE_MIN": {1},
    "STRIDED_SLICE": {1, 2, 3},
    "SLICE": {1, 2},
    "SPLIT": {0},
    "SPLIT_V": {1, 2},
    "ARG_MAX": {1},
    "TRANSPOSE_CONV": {0},
    "EXPAND_DIMS": {1},
    "BROADCAST_TO": {1},
}
_WEIGHTED = {"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"}
_CONVERTING = {"CAST", "QUANTIZE", "DEQUANTIZE", "ARG_MAX"}
# These move values and never look at the scale.
_MOVING = set(_SIZES) - {"MEAN", "SUM", "TRANSPOSE_CONV"} | {
    "CONCATENATION",
    "PACK",
    "UNPACK",
    "SQUEEZE",
    "DEPTH_TO_SPACE",
    "SPACE_TO_DEPTH",
    "CAST",
}
_FLOAT_OR_INTEGER = {
    "ADD",
    "SUB",
    "MUL",
    "MAXIMUM",
    "MINIMUM",
    "SUM",
    "SQUARED_DIFFERENCE",
}
_NOT_INTEGER = ("float32", *_QUANTISED)
_HYBRID_WEIGHTS = ("float32", "int8", "uint8", "int4")


def check_types(operator, inputs: list, outputs: list) -> None:
    """Check the types and scales of an operator's tensors.

    Args:
        operator: An `Operator`.
        inputs: Its input tensors, None where one is left out.
        outputs: Its output tensors.

    Raises:
        FlatbufferError: The kernels do not take them.
    """
    name = operator.name
    if name in _WEIGHTED:
        values = [inputs[2 if name == "TRANSPOSE_CONV" else 0]]
        _check_weight_types(inputs, values[0], name)
        _check_weight_scales(values[0], inputs[1], outputs[0])
    else:
        sizes = _SIZES.get(name, ())
        values = [t for place, t in enumerate(inputs) if place not in sizes]
    kind = values[0].type
    if name in _CONVERTING:
        _check_conversion(name, kind, outputs[0])
    else:
        same = name != "BATCH_MATMUL" or kind != "float32"
        right = values if same else values[:1]
        require(all(t.type == kind for t in (*right, *outputs)), "its types differ")
        if name not in _MOVING:
            allowed = _NOT_INTEGER
            if name in _FLOAT_OR_INTEGER:
                allowed = (*_NOT_INTEGER, "int32", "int64")
            require(kind in allowed, f"it does not take {kind}")
    if name == "BATCH_MATMUL":
        require(values[1].type in ("float32", "int8", "int16"), "its types differ")
    if name not in _MOVING:
        _check_scales(name, values, outputs)


def _check_weight_types(inputs, image, name) -> None:
    """Check the weights of a convolution or a matrix."""
    weights = inputs[1]
    allowed = {
        "float32": _HYBRID_WEIGHTS,
        "int8": ("int8", "int4"),
        "uint8": ("uint8",),
        "int16": ("int8",),
    }
    require(
        weights.type in allowed.get(image.type, ()), "its weights have another type"
    )
    require(
        weights.type == "float32" or weights.quantization is not None,
        "its weights have no scale",
    )
    if name == "FULLY_CONNECTED" and len(inputs) > 2 and inputs[2] is not None:
        types = ("float32",) if image.type == "float32" else ("int32", "int64")
        require(inputs[2].type in types, "its bias has another type")


def _check_weight_scales(image, weights, output) -> None:
    """Check the factor from a sum of products to the output."""
    scales = [tensor.quantization for tensor in (image, weights, output)]
    if image.type == "float32" or None in scales:
        return
    image_scale, weight_scale, output_scale = (float(q.scales.max()) for q in scales)
    # XNNPACK frees memory twice when it refuses a larger one.
    require(
        image_scale * weight_scale / output_scale < 256,
        "its scales are too far from each other",
    )


def _check_conversion(name: str, kind: str, output) -> None:
    """Check an operator that changes the type."""
    numbers = ("float32", "int32", "int64", "uint8", "int8", "int16", "bool")
    allowed = {
        "CAST": ((*numbers, "float16"), numbers),
        "QUANTIZE": (("float32", *_QUANTISED), _QUANTISED),
        "DEQUANTIZE": ((*_QUANTISED, "float16", "int4"), ("float32",)),
        "ARG_MAX": (("float32", "uint8", "int8", "int32"), ("int32", "int64")),
    }[name]
    require(kind in allowed[0] and output.type in allowed[1], "its types are unknown")


def _check_scales(name: str, values: list, outputs: list) -> None:
    """Check that what is quantised has one scale, and that scales fit each other."""
    scales = []
    for tensor in (*values, *outputs):
        if tensor.type not in _QUANTISED:
            continue
        if name == "ARG_MAX":
            continue
        quantization = tensor.quantization
        require(quantization is not None, f"'{tensor.name[:80]}' has no scale")
        weights = name == "DEQUANTIZE" or (
            name == "BATCH_MATMUL" and tensor.constant is not None
        )
        require(
            len(quantization.scales) == 1 or weights,
            f"'{tensor.name[:80]}' has several scales",
        )
        scales.append(float(quantization.scales[0]))
    if len(scales) == 3:  # two inputs and an output
        _check_ratio(name, *scales)


def _check_ratio(name: str, first: float, second: float, output: float) -> None:
    """Check a factor that kernels turn into fixed point, aborting at one and above."""
    twice = 2 * max(first, second)
    factor = {
        "ADD": twice / (2**20 * output),
        "SUB": twice / (2**20 * output),
        "SQUARED_DIFFERENCE": twice**2 / (2**14 * output),
    }.get(name, 0)
    require(factor < 1, "its scales are too far from each other")
