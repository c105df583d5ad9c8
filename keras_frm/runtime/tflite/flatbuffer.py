"""Read a FlatBuffers file that may be damaged: every offset is checked before use.

The format: https://flatbuffers.dev/internals/. The interpreter follows the same offsets
without these checks.
"""

import struct

import numpy as np

_UINT16, _UINT32, _INT32 = (struct.Struct(code) for code in ("<H", "<I", "<i"))
_MAX_BYTES = 2**31 - 1  # offsets have 32 bits


class FlatbufferError(ValueError):
    """What is wrong with a flatbuffer."""


class Table:
    """A table of a flatbuffer, its fields read by their number in the schema.

    Args:
        content: The whole flatbuffer.
        position: Where the table begins.

    Raises:
        FlatbufferError: The table does not lie in the buffer.
    """

    def __init__(self, content: bytes, position: int):
        self._content = content
        self._position = position
        require(position % 4 == 0, "a table is not aligned")
        vtable = position - _read(content, _INT32, position)
        require(vtable >= 0 and vtable % 2 == 0, "a vtable is outside the file")
        vtable_size = _read(content, _UINT16, vtable)
        self._size = _read(content, _UINT16, vtable + 2)
        require(
            vtable_size >= 4
            and vtable_size % 2 == 0
            and vtable + vtable_size <= len(content),
            "a vtable is outside the file",
        )
        require(
            self._size >= 4 and position + self._size <= len(content),
            "a table is outside the file",
        )
        count = vtable_size // 2 - 2
        self._fields = struct.unpack_from(f"<{count}H", content, vtable + 4)
        require(
            all(field == 0 or 4 <= field < self._size for field in self._fields),
            "a field is outside its table",
        )

    @classmethod
    def root(cls, content: bytes, identifier: bytes) -> "Table":
        """Return the root table of a buffer with a file identifier.

        Args:
            content: The whole flatbuffer.
            identifier: Four bytes.

        Raises:
            FlatbufferError: It is another kind of file.
        """
        require(len(content) <= _MAX_BYTES, "the file is over 2 GB")
        require(
            len(content) >= 8 and content[4:8] == identifier,
            f"it does not begin with {identifier.decode()}",
        )
        return cls(content, _UINT32.unpack_from(content)[0])

    def has(self, field: int) -> bool:
        """Tell whether a field is stored."""
        return field < len(self._fields) and self._fields[field] != 0

    def scalar(self, field: int, code: str, default=0):
        """Return a number.

        Args:
            field: Its number.
            code: Its type as in `struct`: "b", "B", "?", "i", "I", "f", "Q".
            default: Its value where it is not stored.
        """
        if not self.has(field):
            return default
        start, size = self._fields[field], struct.calcsize(code)
        position = self._position + start
        require(start + size <= self._size, "a field is outside its table")
        require(position % size == 0, "a field is not aligned")
        if code == "?":  # neither 0 nor 1 is undefined behaviour in C++
            require(self._content[position] < 2, "a flag is neither 0 nor 1")
        return struct.unpack_from(f"<{code}", self._content, position)[0]

    def table(self, field: int) -> "Table | None":
        """Return a table, None where it is not stored."""
        position = self._offset(field)
        return None if position is None else Table(self._content, position)

    def tables(self, field: int) -> list["Table"]:
        """Return a vector of tables, empty where it is not stored."""
        position = self._offset(field)
        if position is None:
            return []
        start, offsets = self._elements(position, "<u4")
        require(
            bool((offsets < len(self._content)).all()), "a table is outside the file"
        )
        return [
            Table(self._content, start + 4 * index + int(offset))
            for index, offset in enumerate(offsets)
        ]

    def vector(self, field: int, dtype: str, alignment: int = 1) -> np.ndarray:
        """Return a vector of numbers, empty where it is not stored.

        Args:
            field: Its number.
            dtype: The little-endian dtype of its elements.
            alignment: What its first byte's position must be a multiple of.
        """
        position = self._offset(field)
        if position is None:
            return np.zeros(0, dtype)
        start, elements = self._elements(position, dtype)
        require(start % alignment == 0, "a vector is not aligned")
        return elements

    def string(self, field: int) -> str:
        """Return a string, empty where it is not stored."""
        position = self._offset(field)
        if position is None:
            return ""
        start, letters = self._elements(position, "u1")
        end = start + len(letters)
        require(
            end < len(self._content) and self._content[end] == 0,
            "a string has no end",
        )
        try:
            return letters.tobytes().decode()
        except UnicodeDecodeError:
            raise FlatbufferError("a string is not UTF-8") from None

    def _offset(self, field: int) -> int | None:
        """Return the position that a field points to, None where it is not stored."""
        if not self.has(field):
            return None
        offset = self.scalar(field, "I")
        require(offset > 0, "an offset is zero")
        return self._position + self._fields[field] + offset

    def _elements(self, position: int, dtype: str) -> tuple[int, np.ndarray]:
        """Return where a vector's elements begin, and the elements without a copy."""
        require(position % 4 == 0, "a vector is not aligned")
        count = _read(self._content, _UINT32, position)
        start, size = position + 4, np.dtype(dtype).itemsize
        require(
            start + count * size <= len(self._content), "a vector is outside the file"
        )
        require(start % size == 0, "a vector is not aligned")
        return start, np.frombuffer(self._content, dtype, count, start)


def _read(content: bytes, number: struct.Struct, position: int) -> int:
    """Return the number at a position."""
    require(0 <= position <= len(content) - number.size, "an offset leaves the file")
    return number.unpack_from(content, position)[0]


def require(holds: bool, problem: str) -> None:
    """Raise what is wrong unless something holds."""
    if not holds:
        raise FlatbufferError(problem)
