"""Read the tensors of a .tflite flatbuffer: shapes, constants and scales, checked."""

from typing import NamedTuple

import numpy as np

from keras_frm.runtime.tflite.flatbuffer import Table, require

# Number in the schema -> name and dtype; int4 packs two values into a byte.
_TYPES = {
    0: ("float32", "<f4"),
    1: ("float16", "<f2"),
    2: ("int32", "<i4"),
    3: ("uint8", "u1"),
    4: ("int64", "<i8"),
    6: ("bool", "?"),
    7: ("int16", "<i2"),
    9: ("int8", "i1"),
    17: ("int4", "u1"),
}
_MAX_RANK = 6
_MAX_TENSOR_BYTES = 2**30


class Quantization(NamedTuple):
    """How integers stand for numbers: (K,) scales and zero points along an axis."""

    scales: np.ndarray
    zero_points: np.ndarray
    axis: int


class Tensor(NamedTuple):
    """A tensor; `constant` holds its values, None if they are computed."""

    name: str
    type: str
    shape: tuple[int, ...]
    constant: np.ndarray | None
    quantization: Quantization | None


def read_tensor(table: Table, buffers: list) -> Tensor:
    """Read a tensor with its constant values.

    Args:
        table: Its table.
        buffers: The bytes of each buffer of the model.

    Raises:
        FlatbufferError: It is damaged.
    """
    name = table.string(3)
    number = table.scalar(1, "b")
    require(number in _TYPES, f"tensor '{name[:80]}' has type {number}")
    kind, dtype = _TYPES[number]
    shape = tuple(int(side) for side in table.vector(0, "<i4"))
    require(len(shape) <= _MAX_RANK, f"tensor '{name[:80]}' has {len(shape)} axes")
    require(all(side > 0 for side in shape), f"tensor '{name[:80]}' has shape {shape}")
    signature = tuple(int(side) for side in table.vector(7, "<i4"))
    require(
        not signature
        or (
            len(signature) == len(shape)
            and all(s in (-1, side) for s, side in zip(signature, shape, strict=True))
        ),
        f"tensor '{name[:80]}' has shapes {shape} and {signature}",
    )
    count = 1
    for side in shape:
        count *= side
    size = (count + 1) // 2 if kind == "int4" else count * np.dtype(dtype).itemsize
    require(size <= _MAX_TENSOR_BYTES, f"tensor '{name[:80]}' has {size} bytes")
    require(
        not table.scalar(5, "?") and not any(table.has(f) for f in (6, 9, 10)),
        f"tensor '{name[:80]}' is variable or sparse",
    )
    index = table.scalar(2, "I")
    require(index < len(buffers), f"tensor '{name[:80]}' names a missing buffer")
    stored = buffers[index]
    require(
        len(stored) in (0, size),
        f"tensor '{name[:80]}' has {len(stored)} bytes instead of {size}",
    )
    constant = None
    if len(stored):
        constant = stored if kind == "int4" else stored.view(dtype).reshape(shape)
        if kind == "bool":  # other values are undefined behaviour in C++
            require(bool((stored < 2).all()), f"'{name[:80]}' is not boolean")
    return Tensor(
        name, kind, shape, constant, _read_quantization(table, name, kind, shape)
    )


def _read_quantization(table: Table, name: str, kind: str, shape: tuple):
    """Read scales and zero points, None where there are none."""
    entry = table.table(4)
    if entry is None:
        return None
    entry.vector(0, "<f4")
    entry.vector(1, "<f4")
    scales, zero_points = entry.vector(2, "<f4"), entry.vector(3, "<i8")
    axis = entry.scalar(6, "i")
    require(entry.scalar(4, "B") == 0, f"tensor '{name[:80]}' is quantised otherwise")
    if len(scales) == 0:
        require(len(zero_points) == 0, f"tensor '{name[:80]}' has no scale")
        return None
    problem = f"the quantisation of tensor '{name[:80]}' is wrong"
    normal = np.isfinite(scales) & (scales >= np.finfo(np.float32).tiny)
    require(bool(normal.all()), problem)
    require(len(zero_points) == len(scales), problem)
    require(0 <= axis < max(1, len(shape)), problem)
    require(len(scales) == 1 or (bool(shape) and len(scales) == shape[axis]), problem)
    if kind in ("int8", "uint8", "int16"):
        limits = np.iinfo(kind)
        inside = (zero_points >= limits.min) & (zero_points <= limits.max)
    else:
        inside = zero_points == 0
    require(bool(inside.all()), problem)
    return Quantization(scales, zero_points, axis)
