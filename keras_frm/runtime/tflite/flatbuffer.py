"""Read a FlatBuffers file that may be damaged: every offset is checked before use.

The format: https://flatbuffers.dev/internals/. The interpreter follows the same offsets
without these checks. Counts are bounded too: many entries may share one place in the
file, so that a small file could keep a reader busy for hours.
"""

import struct

import numpy as np

_UINT16, _UINT32, _INT32 = (struct.Struct(code) for code in ("<H", "<I", "<i"))
_MAX_BYTES = 2**31 - 1  # offsets have 32 bits
_MAX_FIELDS = 64
_MAX_TABLES = 2**15
_MAX_STRING = 2**15


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
        count = vtable_size // 2 - 2
        require(
            vtable_size % 2 == 0 and 0 <= count <= _MAX_FIELDS,
            "a vtable has an impossible size",
        )
        require(vtable + vtable_size <= len(content), "a vtable is outside the file")
        require(
            self._size >= 4 and position + self._size <= len(content),
            "a table is outside the file",
        )
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

    def place(self, field: int) -> int:
        """Return where in the file a stored field begins."""
        return self._position + self._fields[field]

    def scalar(self, field: int, code: str, default: int = 0):
        """Return a number.

        Args:
            field: Its number.
            code: Its type as in `struct`: "b", "B", "?", "i", "I", "f", "Q".
            default: Its value where it is not stored.
        """
        if not self.has(field):
            return default
        place, size = self.place(field), struct.calcsize(code)
        require(
            place + size <= self._position + self._size, "a field is outside its table"
        )
        require(place % size == 0, "a field is not aligned")
        if code == "?":  # neither 0 nor 1 is undefined behaviour in C++
            require(self._content[place] < 2, "a flag is neither 0 nor 1")
        return struct.unpack_from(f"<{code}", self._content, place)[0]

    def table(self, field: int) -> "Table | None":
        """Return a table, None where it is not stored."""
        position = self._target(field)
        return None if position is None else Table(self._content, position)

    def tables(self, field: int) -> list["Table"]:
        """Return a vector of tables, empty where it is not stored."""
        offsets = self.vector(field, "<u4")
        require(len(offsets) <= _MAX_TABLES, f"a list has {len(offsets)} entries")
        require(
            bool((offsets < len(self._content)).all()), "a table is outside the file"
        )
        start = (self._target(field) or 0) + 4
        return [
            Table(self._content, start + 4 * index + offset)
            for index, offset in enumerate(offsets.tolist())
        ]

    def vector(self, field: int, dtype: str, alignment: int = 1) -> np.ndarray:
        """Return a vector of numbers without a copy, empty where it is not stored.

        Args:
            field: Its number.
            dtype: The little-endian dtype of its elements.
            alignment: What its first byte's position must be a multiple of.
        """
        position = self._target(field)
        if position is None:
            return np.zeros(0, dtype)
        require(position % 4 == 0, "a vector is not aligned")
        count = _read(self._content, _UINT32, position)
        start, size = position + 4, np.dtype(dtype).itemsize
        require(
            start + count * size <= len(self._content), "a vector is outside the file"
        )
        require(start % max(size, alignment) == 0, "a vector is not aligned")
        return np.frombuffer(self._content, dtype, count, start)

    def string(self, field: int) -> str:
        """Return a string, empty where it is not stored."""
        letters = self.vector(field, "u1")
        require(len(letters) <= _MAX_STRING, f"a string has {len(letters)} letters")
        if self.has(field):
            end = self._target(field) + 4 + len(letters)
            require(
                end < len(self._content) and self._content[end] == 0,
                "a string has no end",
            )
        try:
            return letters.tobytes().decode()
        except UnicodeDecodeError:
            raise FlatbufferError("a string is not UTF-8") from None

    def _target(self, field: int) -> int | None:
        """Return the position that a field points to, None where it is not stored."""
        if not self.has(field):
            return None
        offset = self.scalar(field, "I")
        require(offset > 0, "an offset is zero")
        return self.place(field) + offset


def _read(content: bytes, number: struct.Struct, position: int) -> int:
    require(0 <= position <= len(content) - number.size, "an offset leaves the file")
    return number.unpack_from(content, position)[0]


def require(holds: bool, problem: str) -> None:
    """Raise what is wrong unless something holds."""
    if not holds:
        raise FlatbufferError(problem)
