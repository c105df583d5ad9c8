"""Read a .tflite flatbuffer into plain records, every part of it checked.

Field numbers: tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from typing import NamedTuple

import numpy as np

from keras_frm.runtime.tflite.flatbuffer import Table, require
from keras_frm.runtime.tflite.operators import OPERATORS
from keras_frm.runtime.tflite.tensors import Tensor, read_tensor

_BUFFER_ALIGNMENT = 4  # kernels read weights as 32 bit words
_UNSAFE_METADATA = "model_control_dependencies"  # changes the order of execution


class Operator(NamedTuple):
    """An operator; inputs of -1 are left out, and options are as in `OPERATORS`."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: tuple


class Graph(NamedTuple):
    """The one subgraph of a model, its operators in the order of execution."""

    tensors: list[Tensor]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: list[Operator]


def read_graph(content: bytes) -> Graph:
    """Read the graph of a .tflite flatbuffer.

    Args:
        content: The flatbuffer, without a zip behind it.

    Raises:
        FlatbufferError: It is damaged, or uses what this package does not run.
    """
    model = Table.root(content, b"TFL3")
    version = model.scalar(0, "I")
    require(version == 3, f"its version is {version} instead of 3")
    codes = [_read_code(table) for table in model.tables(1)]
    subgraphs = model.tables(2)
    require(len(subgraphs) == 1, f"it has {len(subgraphs)} subgraphs instead of one")
    model.string(3)
    buffers = [_read_buffer(table, content) for table in model.tables(4)]
    require(bool(buffers) and len(buffers[0]) == 0, "its first buffer is not empty")
    require(not model.has(8) and not model.has(9), "its weights are in another file")
    _check_metadata(model, len(buffers))
    graph = _read_subgraph(subgraphs[0], buffers, codes)
    for signature in model.tables(7):
        _check_signature(signature, len(graph.tensors))
    return graph


def _read_code(table: Table) -> int:
    """Return the number of a builtin operator."""
    # The first field is of the time when 127 operators were enough.
    code = max(table.scalar(0, "b"), table.scalar(3, "i"))
    require(not table.has(1), "it uses an operator that is not built in")
    require(code in OPERATORS, f"it uses operator {code}, which keras_frm does not run")
    require(0 < table.scalar(2, "i", 1) < 100, "the version of an operator is wrong")
    return code


def _read_buffer(table: Table, content: bytes) -> np.ndarray:
    """Return the bytes of a buffer."""
    inside = table.vector(0, "u1", _BUFFER_ALIGNMENT)
    offset, size = table.scalar(1, "Q"), table.scalar(2, "Q")
    if offset <= 1:  # 0 and 1 both mean that there is nothing outside
        require(size == 0 or offset == 0, "a buffer has a size but no place")
        return inside
    require(len(inside) == 0, "a buffer is stored twice")
    require(offset % _BUFFER_ALIGNMENT == 0, "a buffer is not aligned")
    require(offset + size <= len(content), "a buffer is outside the file")
    return np.frombuffer(content, np.uint8, size, offset)


def _check_metadata(model: Table, num_buffers: int) -> None:
    """Check the model's notes to the interpreter."""
    buffers = [int(index) for index in model.vector(5, "<i4")]
    for entry in model.tables(6):
        name = entry.string(0)
        require(name != _UNSAFE_METADATA, f"it has metadata '{name}'")
        buffers.append(entry.scalar(1, "I"))
    require(
        all(0 <= index < num_buffers for index in buffers),
        "metadata names a buffer that is not there",
    )


def _read_subgraph(table: Table, buffers: list, codes: list[int]) -> Graph:
    """Read tensors and operators."""
    tensors = [read_tensor(entry, buffers) for entry in table.tables(0)]
    table.string(4)
    return Graph(
        tensors,
        _indices(table, 1, len(tensors)),
        _indices(table, 2, len(tensors)),
        [_read_operator(entry, len(tensors), codes) for entry in table.tables(3)],
    )


def _read_operator(table: Table, num_tensors: int, codes: list[int]) -> Operator:
    """Read an operator with its options."""
    index = table.scalar(0, "I")
    require(index < len(codes), "an operator has no code")
    kind = OPERATORS[codes[index]]
    require(
        not any(table.has(field) for field in (5, 9, 10, 12))
        and table.scalar(11, "B") == 0
        and not table.vector(7, "u1").any()
        and len(table.vector(8, "<i4")) == 0,
        f"a {kind.name} has custom options",
    )
    inputs = _indices(table, 1, num_tensors, optional=True)
    outputs = _indices(table, 2, num_tensors)
    fewest, most = kind.inputs
    require(
        fewest <= len(inputs) <= most and len(outputs) > 0,
        f"a {kind.name} has {len(inputs)} inputs and {len(outputs)} outputs",
    )
    return Operator(kind.name, inputs, outputs, _read_options(table, kind))


def _read_options(table: Table, kind) -> tuple:
    """Return an operator's options, defaults where it has none."""
    number, options = table.scalar(3, "B"), table.table(4)
    if number == 0 and not kind.needs_options:
        return ()
    require(
        number == kind.options_type and options is not None,
        f"a {kind.name} has the options of another operator",
    )
    return tuple(
        tuple(int(v) for v in options.vector(field, "<i4"))
        if code == "v"
        else options.scalar(field, "i" if code == "." else code, _default(kind, field))
        for field, code in enumerate(kind.fields)
    )


def _default(kind, field: int) -> int:
    """Return the default of an option: dilations are 1, all else is 0."""
    first_dilation = {"CONV_2D": 4, "DEPTHWISE_CONV_2D": 5}.get(kind.name, 99)
    return int(first_dilation <= field < first_dilation + 2)


def _indices(table: Table, field: int, count: int, optional=False) -> tuple[int, ...]:
    """Read a vector of tensor indices."""
    indices = tuple(int(index) for index in table.vector(field, "<i4"))
    lowest = -1 if optional else 0
    require(
        all(lowest <= index < count for index in indices),
        "an operator names a tensor that is not there",
    )
    return indices


def _check_signature(signature: Table, num_tensors: int) -> None:
    """Check a named entry to the graph."""
    for field in (0, 1):
        for entry in signature.tables(field):
            entry.string(0)
            require(
                entry.scalar(1, "I") < num_tensors, "a signature names a missing tensor"
            )
    signature.string(2)
    require(signature.scalar(4, "I") == 0, "a signature names a missing subgraph")
