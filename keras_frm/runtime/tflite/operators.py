"""The TFLite operators that a model may use, and how their options are stored.

Source: the schema of TFLite, tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from typing import NamedTuple


class OperatorKind(NamedTuple):
    """One operator of the schema.

    Args:
        name: Name in the schema.
        options_type: Number of its options table in the union.
        fields: The type of each scalar in the options, as in `struct`; "v" is a vector
            of int32, "." a number that no longer counts.
        inputs: Fewest and most inputs.
        needs_options: The interpreter reads the options without looking if they exist.
    """

    name: str
    options_type: int
    fields: str = ""
    inputs: tuple[int, int] = (1, 1)
    needs_options: bool = False


def _with_options(name, options_type, fields, fewest=1, most=None):
    """Return an operator that cannot do without its options."""
    most = fewest if most is None else most
    return OperatorKind(name, options_type, fields, (fewest, most), True)


_MANY = 1000

OPERATORS = {
    0: _with_options("ADD", 11, "b?", 2),
    1: _with_options("AVERAGE_POOL_2D", 5, "biiiib"),
    2: _with_options("CONCATENATION", 10, "ib", 1, _MANY),
    3: _with_options("CONV_2D", 1, "biibiib", 2, 3),
    4: _with_options("DEPTHWISE_CONV_2D", 2, "biiibii", 2, 3),
    5: _with_options("DEPTH_TO_SPACE", 94, "i"),
    6: OperatorKind("DEQUANTIZE", 38),
    8: OperatorKind("FLOOR", 0),
    9: _with_options("FULLY_CONNECTED", 8, "bb??b", 2, 3),
    11: _with_options("L2_NORMALIZATION", 12, "b"),
    14: OperatorKind("LOGISTIC", 0),
    17: _with_options("MAX_POOL_2D", 5, "biiiib"),
    18: _with_options("MUL", 21, "b", 2),
    19: OperatorKind("RELU", 0),
    20: OperatorKind("RELU_N1_TO_1", 0),
    21: OperatorKind("RELU6", 0),
    22: OperatorKind("RESHAPE", 17, "v", (1, 2)),
    23: _with_options("RESIZE_BILINEAR", 15, "..??", 2),
    25: _with_options("SOFTMAX", 9, "f"),
    26: _with_options("SPACE_TO_DEPTH", 19, "i"),
    28: OperatorKind("TANH", 0),
    34: OperatorKind("PAD", 22, "", (2, 2)),
    36: _with_options("GATHER", 23, "ii", 2),
    37: OperatorKind("BATCH_TO_SPACE_ND", 24, "", (3, 3)),
    38: OperatorKind("SPACE_TO_BATCH_ND", 25, "", (3, 3)),
    39: OperatorKind("TRANSPOSE", 26, "", (2, 2)),
    40: _with_options("MEAN", 27, "?", 2),
    41: _with_options("SUB", 28, "b?", 2),
    42: _with_options("DIV", 29, "b", 2),
    43: _with_options("SQUEEZE", 30, "v"),
    45: _with_options("STRIDED_SLICE", 32, "iiiii?", 4),
    47: OperatorKind("EXP", 33),
    49: _with_options("SPLIT", 35, "i", 2),
    53: OperatorKind("CAST", 37, "bb"),
    54: OperatorKind("PRELU", 0, "", (2, 2)),
    55: OperatorKind("MAXIMUM", 39, "", (2, 2)),
    56: _with_options("ARG_MAX", 40, "b", 2),
    57: OperatorKind("MINIMUM", 39, "", (2, 2)),
    59: OperatorKind("NEG", 42),
    60: OperatorKind("PADV2", 43, "", (3, 3)),
    65: OperatorKind("SLICE", 48, "", (3, 3)),
    67: _with_options("TRANSPOSE_CONV", 49, "biibb", 3, 4),
    70: OperatorKind("EXPAND_DIMS", 52, "", (2, 2)),
    74: _with_options("SUM", 27, "?", 2),
    75: OperatorKind("SQRT", 0),
    76: OperatorKind("RSQRT", 0),
    78: OperatorKind("POW", 56, "", (2, 2)),
    82: _with_options("REDUCE_MAX", 27, "?", 2),
    83: _with_options("PACK", 59, "ii", 1, _MANY),
    88: _with_options("UNPACK", 64, "ii"),
    89: _with_options("REDUCE_MIN", 27, "?", 2),
    92: OperatorKind("SQUARE", 66),
    97: _with_options("RESIZE_NEAREST_NEIGHBOR", 74, "??", 2),
    98: _with_options("LEAKY_RELU", 75, "f"),
    99: OperatorKind("SQUARED_DIFFERENCE", 76, "", (2, 2)),
    100: _with_options("MIRROR_PAD", 77, "b", 2),
    101: OperatorKind("ABS", 78),
    102: _with_options("SPLIT_V", 79, "i", 3),
    111: OperatorKind("ELU", 0),
    114: OperatorKind("QUANTIZE", 89),
    116: OperatorKind("ROUND", 0),
    117: OperatorKind("HARD_SWISH", 91),
    126: _with_options("BATCH_MATMUL", 101, "???", 2),
    130: OperatorKind("BROADCAST_TO", 104, "", (2, 2)),
    150: OperatorKind("GELU", 116, "?"),
}
