"""Read a .tflite flatbuffer into plain records, every part of it checked.

Field numbers: tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from typing import NamedTuple

import numpy as np

from keras_frm.runtime.tflite.flatbuffer import Table, require

_BUFFER_ALIGNMENT = 4  # kernels read weights as 32 bit words
_UNSAFE_METADATA = "model_control_dependencies"  # changes the order of execution
_CUSTOM = 32  # the code of every operator that is not built in
_MAX_INPUTS = 1024
# Options table -> its fields that are vectors of four-byte numbers.
_OPTION_VECTORS = {3: (1, 2), 8: (5,), 17: (0,), 30: (0,), 115: (0,)}
_PLAIN_OPTIONS_2 = {0, 18, 19, 20, 22}  # those of numbers alone

# Number in the schema -> bits; what is not here holds no plain numbers.
_BITS = {0: 32, 1: 16, 2: 32, 3: 8, 4: 64, 6: 8, 7: 16, 8: 64, 9: 8, 10: 64, 11: 128}
_BITS |= {12: 64, 15: 32, 16: 16, 17: 4, 18: 16, 19: 2, 20: 4, 21: 8, 22: 8}
_ZERO_POINTS = {3: (0, 255), 9: (-128, 127), 7: (-(2**15), 2**15 - 1)}
_MAX_RANK = 6
_MAX_TENSOR_BYTES = 2**30
_MAX_SCALES = 2**15


class Tensor(NamedTuple):
    """A tensor; `constant` if its values are in the file."""

    name: str
    shape: tuple[int, ...]
    constant: bool


class Operator(NamedTuple):
    """An operator by its number; an input of -1 is left out."""

    code: int
    inputs: list[int]
    outputs: list[int]


class Graph(NamedTuple):
    """The one subgraph of a model, its operators in the order of execution."""

    tensors: list[Tensor]
    inputs: list[int]
    outputs: list[int]
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
    sizes = [_buffer_size(table, content) for table in model.tables(4)]
    require(bool(sizes) and sizes[0] == 0, "its first buffer is not empty")
    require(not model.has(8) and not model.has(9), "its weights are in another file")
    _check_metadata(model, len(sizes))
    (table,) = subgraphs
    tensors = [_read_tensor(entry, sizes) for entry in table.tables(0)]
    table.string(4)
    operators = [_read_operator(t, len(tensors), codes) for t in table.tables(3)]
    for signature in model.tables(7):
        _check_signature(signature, len(tensors))
    return Graph(
        tensors,
        _indices(table, 1, len(tensors)),
        _indices(table, 2, len(tensors)),
        operators,
    )


def _read_code(table: Table) -> int:
    # The first field is of the time when 127 operators were enough.
    code = max(table.scalar(0, "b"), table.scalar(3, "i"))
    require(
        code != _CUSTOM and not table.has(1), "it uses an operator that is not built in"
    )
    require(0 < table.scalar(2, "i", 1) < 100, "the version of an operator is wrong")
    return code


def _buffer_size(table: Table, content: bytes) -> int:
    """Return the number of bytes in a buffer, which may stand behind all tables."""
    inside = table.vector(0, "u1", _BUFFER_ALIGNMENT)
    offset, size = table.scalar(1, "Q"), table.scalar(2, "Q")
    if offset <= 1:  # 0 and 1 both mean that there is nothing outside
        require(size == 0 or offset == 0, "a buffer has a size but no place")
        return len(inside)
    require(len(inside) == 0, "a buffer is stored twice")
    require(offset % _BUFFER_ALIGNMENT == 0, "a buffer is not aligned")
    require(offset + size <= len(content), "a buffer is outside the file")
    return size


def _check_metadata(model: Table, num_buffers: int) -> None:
    """Check the model's notes to the interpreter."""
    named = []
    for entry in model.tables(6):
        name = entry.string(0)
        require(name != _UNSAFE_METADATA, f"it has metadata '{name}'")
        named.append(entry.scalar(1, "I"))
    for indices in (model.vector(5, "<i4"), np.array(named, np.int64)):
        require(
            bool(((indices >= 0) & (indices < num_buffers)).all()),
            "metadata names a buffer that is not there",
        )


def _read_operator(table: Table, num_tensors: int, codes: list[int]) -> Operator:
    index = table.scalar(0, "I")
    require(index < len(codes), "an operator has no code")
    require(
        not any(table.has(field) for field in (5, 9, 10))
        and not table.vector(7, "u1").any()
        and len(table.vector(8, "<i4")) == 0,
        "an operator has custom options",
    )
    kind, options = table.scalar(3, "B"), table.table(4)
    for field in _OPTION_VECTORS.get(kind, ()) if options else ():
        options.vector(field, "<i4")
    table.table(12)
    require(table.scalar(11, "B") in _PLAIN_OPTIONS_2, "an operator has nested options")
    inputs = _indices(table, 1, num_tensors, lowest=-1)
    require(-1 not in inputs[:2], "an input is left out")  # biases may be
    return Operator(codes[index], inputs, _indices(table, 2, num_tensors))


def _indices(table: Table, field: int, count: int, lowest: int = 0) -> list[int]:
    """Read a vector of tensor indices."""
    indices = table.vector(field, "<i4")
    require(len(indices) <= _MAX_INPUTS, f"an operator has {len(indices)} tensors")
    require(
        bool(((indices >= lowest) & (indices < count)).all()),
        "an operator names a tensor that is not there",
    )
    return indices.tolist()


def _check_signature(signature: Table, num_tensors: int) -> None:
    """Check a named entry to the graph."""
    for entry in (*signature.tables(0), *signature.tables(1)):
        entry.string(0)
        require(
            entry.scalar(1, "I") < num_tensors, "a signature names a missing tensor"
        )
    signature.string(2)
    require(signature.scalar(4, "I") == 0, "a signature names a missing subgraph")


def _read_tensor(table: Table, buffer_sizes: list[int]) -> Tensor:
    full_name = table.string(3)
    name = full_name[:80]
    kind = table.scalar(1, "b")
    require(kind in _BITS, f"tensor '{name}' has type {kind}")
    shape = tuple(table.vector(0, "<i4")[: _MAX_RANK + 1].tolist())
    require(len(shape) <= _MAX_RANK, f"tensor '{name}' has over {_MAX_RANK} axes")
    require(all(side > 0 for side in shape), f"tensor '{name}' has shape {shape}")
    open_shape = tuple(table.vector(7, "<i4")[: _MAX_RANK + 1].tolist())
    require(
        len(open_shape) in (0, len(shape))
        and all(s in (-1, side) for s, side in zip(open_shape, shape, strict=False)),
        f"tensor '{name}' has shapes {shape} and {open_shape}",
    )
    bits = _BITS[kind]
    for side in shape:
        bits *= side
    size = -(-bits // 8)
    require(size <= _MAX_TENSOR_BYTES, f"tensor '{name}' has {size} bytes")
    require(
        not table.scalar(5, "?") and not any(table.has(f) for f in (6, 9, 10)),
        f"tensor '{name}' is variable or sparse",
    )
    index = table.scalar(2, "I")
    require(index < len(buffer_sizes), f"tensor '{name}' names a missing buffer")
    stored = buffer_sizes[index]
    require(
        stored in (0, size), f"tensor '{name}' has {stored} bytes instead of {size}"
    )
    quantization = table.table(4)
    if quantization is not None:
        _check_quantization(quantization, name, kind, shape)
    return Tensor(full_name, shape, stored > 0)


def _check_quantization(entry: Table, name: str, kind: int, shape: tuple) -> None:
    """Check the scales and zero points along an axis."""
    entry.vector(0, "<f4")
    entry.vector(1, "<f4")
    scales, zero_points = entry.vector(2, "<f4"), entry.vector(3, "<i8")
    axis = entry.scalar(6, "i")
    problem = f"the quantisation of tensor '{name}' is wrong"
    require(entry.scalar(4, "B") == 0, problem)
    require(len(zero_points) == len(scales) <= _MAX_SCALES, problem)
    if len(scales) == 0:
        return
    require(0 <= axis < max(1, len(shape)), problem)
    require(len(scales) == 1 or (bool(shape) and len(scales) == shape[axis]), problem)
    normal = np.isfinite(scales) & (scales >= np.finfo(np.float32).tiny)
    least, most = _ZERO_POINTS.get(kind, (0, 0))
    inside = (zero_points >= least) & (zero_points <= most)
    require(bool((normal & inside).all()), problem)
