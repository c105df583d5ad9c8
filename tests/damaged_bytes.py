"""Damages of bytes, whatever kind of file they are.

Each takes a file's content, a random generator and the contents of all good files, and
returns what a damaged file holds.
"""

# Where the offsets, shapes and options are: files of weights are mostly weights.
_STRUCTURE = 2**16
_NUMBERS = (0, 1, 2, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 1)


def flip_bits(content, random, whole):
    damaged = bytearray(content)
    for _ in range(random.integers(1, 9)):
        damaged[_place(content, random)] ^= 1 << random.integers(8)
    return bytes(damaged)


def truncate(content, random, whole):
    return content[: random.integers(len(content))]


def zero_range(content, random, whole):
    damaged, start = bytearray(content), _place(content, random)
    end = min(len(content), start + int(random.integers(1, 65)))
    damaged[start:end] = bytes(end - start)
    return bytes(damaged)


def random_bytes(content, random, whole):
    damaged, start = bytearray(content), _place(content, random)
    end = min(len(content), start + int(random.integers(1, 17)))
    damaged[start:end] = random.bytes(end - start)
    return bytes(damaged)


def set_number(content, random, whole):
    """Write a number that programs do not expect, where one may stand."""
    damaged, start = bytearray(content), _place(content, random) // 4 * 4
    number = int(random.choice(_NUMBERS))
    damaged[start : start + 4] = number.to_bytes(4, "little")
    return bytes(damaged)[: len(content)]


def nudge(content, random, whole):
    """Add or take away a little."""
    damaged, start = bytearray(content), _place(content, random)
    damaged[start] = (damaged[start] + int(random.integers(-8, 9))) % 256
    return bytes(damaged)


def swap(content, random, whole):
    """Another kind of file under this name."""
    head = (b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"PK\x05\x06", b"\xff\xd8\xff")
    return head[random.integers(len(head))] + content[: random.integers(len(content))]


def splice(content, random, whole):
    """The front of one file and the end of another."""
    other = whole[random.integers(len(whole))]
    return content[: random.integers(len(content))] + other[_place(other, random) :]


DAMAGES = (
    flip_bits,
    nudge,
    set_number,
    zero_range,
    random_bytes,
    truncate,
    swap,
    splice,
)


def _place(content, random) -> int:
    """Choose a byte, mostly outside of large weights."""
    if len(content) <= 2 * _STRUCTURE or random.random() < 0.05:
        return int(random.integers(len(content)))
    place = int(random.integers(2 * _STRUCTURE))
    return place if place < _STRUCTURE else len(content) - 2 * _STRUCTURE + place
