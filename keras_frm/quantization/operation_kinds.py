"""What each kind of operation does inside an int8 file."""

from keras_frm.layers.blocks.layer_scale import LayerScale

# Compute in integers where one of their inputs is integer.
INTEGER = {"Add", "Multiply", "Subtract", "Concatenate", "Rescaling"}
INTEGER |= {"Elu", "LeakyRelu", "Sigmoid", "Tanh"}
# Move or average numbers: their kernels do not requantise, so that the result has the
# range of what comes in.
SAME_SCALE = {
    "AveragePool",
    "AveragePooling2D",
    "CenterCrop",
    "Cropping2D",
    "DepthToSpace",
    "Flatten",
    "GetItem",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "Max",
    "MaxPool",
    "MaxPooling2D",
    "Maximum",
    "Minimum",
    "Pad",
    "Permute",
    "Reshape",
    "Resize",
    "Transpose",
    "ZeroPadding2D",
}
# Of these, all inputs have the range of the result.
JOINING = {"Concatenate", "Maximum", "Minimum"}
# Do something in training only.
SAME_SCALE |= {"ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout"}
SAME_SCALE |= {"GaussianNoise", "Identity", "SpatialDropout2D"}
# Stay float inside the int8 file; the second have integer kernels, slow or coarse ones,
# or, as the means of windows, none in XNNPACK.
FLOAT = {"Celu", "Gelu", "Selu", "Softplus", "Softsign"}
FLOAT |= {"GroupNormalization", "LayerNormalization", "RMSNormalization"}
FLOAT |= {"Attention", "MultiHeadAttention", "UnitNormalization"}
FLOAT |= {"AlignedUpsampling", "Divide", "FlowWarp", "TrueDivide"}
FLOAT_BY_CHOICE = {
    "AveragePool",
    "AveragePooling2D",
    "Einsum",
    "Exp",
    "Matmul",
    "Max",
    "Mean",
    "Rsqrt",
    "Softmax",
}
FLOAT_BY_CHOICE |= {"Sum", "Transpose", "UnitLength"}
# Compare only: integers serve as they are, and the result has no range.
COMPARING = {"ClassIds"}
# Fuse into the operation before them, which then has no range of its own; of "ReLU"
# only those without a slope, a threshold or a bound other than 6.
ACTIVATIONS = {"Relu", "ReLU", "Relu6"}

# On the way to a float operation, these are not worth a quantisation of their own.
_CHEAP_IN_FLOAT = {"Reshape", "Subtract"}

# What LiteRT's integer kernels dictate: these results have this range and no other.
FIXED_RANGES = {
    "Sigmoid": (0.0, 255 / 256),
    "Softmax": (0.0, 255 / 256),
    "Tanh": (-1.0, 127 / 128),
    "UnitLength": (-1.0, 127 / 128),
}


def is_cheap_in_float(operation) -> bool:
    """Return whether an operation is as cheap in float as in integers.

    Args:
        operation: A layer, or an operation of `keras.ops`.

    Example:
    >>> is_cheap_in_float(LayerScale())
    True
    """
    kind = type(operation).__name__
    return isinstance(operation, LayerScale) or kind in _CHEAP_IN_FLOAT
