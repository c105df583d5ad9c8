"""Refuse a damaged .tflite file before an interpreter sees it.

The interpreter trusts a model: a wrong offset, index or shape ends the process. So the
flatbuffer is verified, and each operator's output compared with what its inputs give.
"""

import math

from keras_frm.runtime import file_metadata
from keras_frm.runtime.tflite.flatbuffer import FlatbufferError, require
from keras_frm.runtime.tflite.layout import Elements
from keras_frm.runtime.tflite.model import Graph, Operator, read_graph
from keras_frm.runtime.tflite.shapes import RULES
from keras_frm.runtime.tflite.types import check_types


class ModelFileError(ValueError):
    """What is wrong with a model file, in one line."""


def check_tflite(content: bytes) -> None:
    """Check that an interpreter can run a file.

    Args:
        content: The file.

    Raises:
        ModelFileError: It is damaged, was changed after the export, is no .tflite file,
            or does what this package does not run.

    Example:
    >>> check_tflite(b"PNG")
    Traceback (most recent call last):
    keras_frm.runtime.tflite.check.ModelFileError: it is no .tflite file
    """
    try:
        size = file_metadata.flatbuffer_size(content)
        unchanged = file_metadata.is_unchanged(content)
    except ValueError as error:
        raise ModelFileError(str(error)) from error
    if content[4:8] != b"TFL3":
        raise ModelFileError("it is no .tflite file")
    if not unchanged:
        raise ModelFileError("it was changed after export; copy or export it again")
    try:
        check_graph(read_graph(memoryview(content)[:size]))
    except FlatbufferError as error:
        raise ModelFileError(f"it is damaged or not supported: {error}") from error


def check_graph(graph: Graph) -> None:
    """Check that the operators of a graph fit each other.

    Args:
        graph: What `read_graph` returns.

    Raises:
        FlatbufferError: They do not.
    """
    tensors = graph.tensors
    known = {index for index, t in enumerate(tensors) if t.constant is not None}
    require(not known.intersection(graph.inputs), "an input is a constant")
    require(len(set(graph.inputs)) == len(graph.inputs), "an input is there twice")
    known.update(graph.inputs)
    for place, operator in enumerate(graph.operators):
        used = {index for index in operator.inputs if index >= 0}
        require(used <= known, f"operator {place} uses what is not computed yet")
        made = set(operator.outputs)
        require(
            len(made) == len(operator.outputs) and not made & known,
            f"operator {place} writes what is written already",
        )
        known |= made
        try:
            _check_operator(operator, tensors)
        except FlatbufferError as error:
            raise FlatbufferError(
                f"operator {place} ({operator.name}): {error}"
            ) from None
    require(
        bool(graph.outputs) and known.issuperset(graph.outputs),
        "an output is not computed",
    )


def _check_operator(operator: Operator, tensors: list) -> None:
    """Check inputs, types and output shapes of an operator."""
    left_out = [place for place, index in enumerate(operator.inputs) if index < 0]
    optional = {"CONV_2D": 2, "FULLY_CONNECTED": 2, "DEPTHWISE_CONV_2D": 2}
    require(
        all(place == optional.get(operator.name) for place in left_out),
        "an input is left out",
    )
    inputs = [tensors[index] if index >= 0 else None for index in operator.inputs]
    outputs = [tensors[index] for index in operator.outputs]
    check_types(operator, inputs, outputs)
    expected = RULES[operator.name](inputs, operator.options)
    expected = expected if isinstance(expected, list) else [expected]
    require(len(outputs) == len(expected), f"it has {len(outputs)} outputs")
    for tensor, shape in zip(outputs, expected, strict=True):
        if isinstance(shape, Elements):
            shape = tensor.shape if math.prod(tensor.shape) == shape.count else shape
        require(
            tensor.shape == shape,
            f"output '{tensor.name[:80]}' is {tensor.shape} instead of {shape}",
        )
