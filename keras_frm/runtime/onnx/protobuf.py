"""The wire format of Protocol Buffers, as far as a look into a file needs it."""

from collections.abc import Iterator
from typing import NamedTuple

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5
_MOST_VARINT_BYTES = 10


class Field(NamedTuple):
    """A field of a message.

    Args:
        number: Its number in the message's definition.
        start: Where it begins in the message, its tag included.
        end: Where the next one begins.
        value: An integer, or the bytes of a text, an array or a message.
    """

    number: int
    start: int
    end: int
    value: int | memoryview


def fields(message: memoryview) -> Iterator[Field]:
    r"""Yield the fields of a message in their order.

    Args:
        message: Its bytes.

    Raises:
        ValueError: It is cut, or no message.

    Example:
    >>> [(f.number, f.value) for f in fields(memoryview(b"\x08\x96\x01"))]
    [(1, 150)]
    """
    place = 0
    while place < len(message):
        start = place
        tag, place = _varint(message, place)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, place = _varint(message, place)
        elif wire in (_LENGTH, _EIGHT_BYTES, _FOUR_BYTES):
            size = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}.get(wire)
            if size is None:
                size, place = _varint(message, place)
            value = message[place : place + size]
            if len(value) != size:
                raise ValueError(f"field {number} goes beyond the end")
            place += size
        else:
            raise ValueError(f"field {number} is of no kind that is in use")
        yield Field(number, start, place, value)


def _varint(message, place) -> tuple[int, int]:
    """Return an integer and where it ends."""
    value = 0
    for index, byte in enumerate(message[place : place + _MOST_VARINT_BYTES]):
        value |= (byte & 127) << (7 * index)
        if byte < 128:
            return value, place + index + 1
    raise ValueError("an integer has no end")
