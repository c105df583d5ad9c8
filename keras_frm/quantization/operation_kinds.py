"""What each kind of operation does inside an int8 file."""

from keras_frm.layers.blocks.layer_scale import LayerScale

# Compute in integers where one of their inputs is integer.
INTEGER = {"Add", "Multiply", "Subtract", "Concatenate", "Rescaling", "Sigmoid"}
# Move or average numbers: the result has the range of what comes in.
SAME_RANGE = {
    "AveragePool",
    "AveragePooling2D",
    "Dropout",
    "GetItem",
    "GlobalAveragePooling2D",
    "Max",
    "MaxPool",
    "MaxPooling2D",
    "Pad",
    "Reshape",
    "Resize",
    "Transpose",
    "UpSampling2D",
    "ZeroPadding2D",
}
# Stay float inside the int8 file; the second have integer kernels, slow or coarse ones.
FLOAT = {"Gelu", "LayerNormalization", "Silu"}
FLOAT_BY_CHOICE = {"Einsum", "Exp", "Matmul", "Max", "Mean", "Rsqrt", "Softmax"}
FLOAT_BY_CHOICE |= {"Sum", "Transpose", "UnitLength"}
# Compare only: integers serve as they are, and the result is no range's.
COMPARING = {"ClassIds"}
# Fuse into the operation before them, which then has no range of its own; of "ReLU"
# only those without a slope, a threshold or a bound other than 6.
ACTIVATIONS = {"Relu", "ReLU", "Relu6"}

# Worth no rounding of their own on the way to a float operation.
_CARRYING = {"Reshape", "Subtract"}

# What LiteRT's integer kernels dictate: these results have this range and no other.
KERNEL_RANGES = {
    "Sigmoid": (0.0, 255 / 256),
    "Softmax": (0.0, 255 / 256),
    "UnitLength": (-1.0, 127 / 128),
}


def carries(operation) -> bool:
    """Return whether an operation is as cheap in float as in integers.

    Args:
        operation: A layer, or an operation of `keras.ops`.

    Example:
    >>> carries(LayerScale())
    True
    """
    return isinstance(operation, LayerScale) or type(operation).__name__ in _CARRYING
