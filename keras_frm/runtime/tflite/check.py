"""Refuse a damaged .tflite file before an interpreter sees it.

The interpreter trusts a model: a wrong offset or index ends the process. So the
flatbuffer is verified, and the order in which tensors are computed. What an operator
makes of its inputs is left to the interpreter, in a process of its own.
"""

from keras_frm.runtime.errors import ModelFileError
from keras_frm.runtime.tflite import metadata_zip
from keras_frm.runtime.tflite.flatbuffer import FlatbufferError, require
from keras_frm.runtime.tflite.model import Graph, Operator, read_graph

# Operators -> the inputs that say how large the output is, or along which axis. If they
# were computed, the pixels of an image would decide on the memory and time of a run.
_SIZES = {
    22: (1,),  # RESHAPE
    23: (1,),  # RESIZE_BILINEAR
    34: (1,),  # PAD
    37: (1, 2),  # BATCH_TO_SPACE_ND
    38: (1, 2),  # SPACE_TO_BATCH_ND
    39: (1,),  # TRANSPOSE
    40: (1,),  # MEAN
    45: (1, 2, 3),  # STRIDED_SLICE
    48: (1,),  # TOPK_V2
    49: (0,),  # SPLIT
    56: (1,),  # ARG_MAX
    60: (1,),  # PADV2
    65: (1, 2),  # SLICE
    67: (0,),  # TRANSPOSE_CONV
    69: (1,),  # TILE
    70: (1,),  # EXPAND_DIMS
    74: (1,),  # SUM
    79: (1,),  # ARG_MIN
    81: (1,),  # REDUCE_PROD
    82: (1,),  # REDUCE_MAX
    85: (1,),  # ONE_HOT
    89: (1,),  # REDUCE_MIN
    91: (1,),  # REDUCE_ANY
    94: (0,),  # FILL
    96: (0, 1, 2),  # RANGE
    97: (1,),  # RESIZE_NEAREST_NEIGHBOR
    100: (1,),  # MIRROR_PAD
    102: (1, 2),  # SPLIT_V
    130: (1,),  # BROADCAST_TO
}


def check_tflite(content: bytes) -> None:
    """Check a file without running any of it.

    Args:
        content: The file.

    Raises:
        ModelFileError: It is damaged, was changed after the export, is no .tflite file,
            or does what this package does not run.

    Example:
    >>> check_tflite(b"PNG")
    Traceback (most recent call last):
    keras_frm.runtime.errors.ModelFileError: it is no .tflite file
    """
    try:
        size = metadata_zip.flatbuffer_size(content)
        unchanged = metadata_zip.is_unchanged(content)
    except ValueError as error:
        raise ModelFileError(str(error)) from error
    if content[4:8] != b"TFL3":
        raise ModelFileError("it is no .tflite file")
    if not unchanged:
        raise ModelFileError("it was changed after export; copy or export it again")
    try:
        _check_graph(read_graph(memoryview(content)[:size]))
    except FlatbufferError as error:
        raise ModelFileError(f"it is damaged or not supported: {error}") from error


def _check_graph(graph: Graph) -> None:
    """Check that every tensor is computed once, before it is used."""
    constants = {index for index, t in enumerate(graph.tensors) if t.constant}
    require(not constants.intersection(graph.inputs), "an input is a constant")
    require(len(set(graph.inputs)) == len(graph.inputs), "an input is there twice")
    known = constants.union(graph.inputs)
    for place, operator in enumerate(graph.operators):
        _check_sizes(place, operator, constants)
        require(
            known.issuperset(index for index in operator.inputs if index >= 0),
            f"operator {place} uses what is not computed yet",
        )
        made = set(operator.outputs)
        require(
            len(made) == len(operator.outputs) > 0 and known.isdisjoint(made),
            f"operator {place} writes what is written already",
        )
        known |= made
    require(
        bool(graph.outputs) and known.issuperset(graph.outputs),
        "an output is not computed",
    )


def _check_sizes(place: int, operator: Operator, constants: set[int]) -> None:
    for position in _SIZES.get(operator.code, ()):
        require(
            position >= len(operator.inputs) or operator.inputs[position] in constants,
            f"operator {place} has sizes that are computed at run time; export the "
            "model with a fixed input size and batch 1",
        )
