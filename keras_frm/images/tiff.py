"""What a TIFF file says about its first image; TIFF 6.0, Adobe 1992."""

import struct
from typing import NamedTuple

_MAX_ENTRIES = 1024
_SIZES = {1: 1, 3: 2, 4: 4}  # type -> bytes of a value: BYTE, SHORT, LONG
_LETTERS = {1: "B", 3: "H", 4: "I"}

_NEW_SUBFILE_TYPE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION = 254, 256, 257, 258, 259
_PHOTOMETRIC, _STRIPS, _ORIENTATION, _SAMPLES, _STRIP_BYTES = 262, 273, 274, 277, 279
_TILES, _TILE_BYTES, _SAMPLE_FORMAT = 324, 325, 339

# What OpenCV's TIFF decoder has, and reads as other programs do.
_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 7, 8, 32773, 32946})
_PHOTOMETRICS = frozenset({0, 1, 2, 3, 5, 6})  # grey, RGB, palette, CMYK, YCbCr


class TiffHeader(NamedTuple):
    """What the first image of a TIFF file is.

    Args:
        height: Pixels.
        width: Pixels.
        bits: Bits of a sample.
        complete: The file holds all of the image's data.
        unsupported: Why the image cannot be read as RGB, "" if it can.
        orientation_at: Where the value of the orientation tag stands, None without it.
        order: Byte order, "<" or ">".
        has_pages: More images follow, and they are no smaller copies of the first.
    """

    height: int
    width: int
    bits: int
    complete: bool
    unsupported: str
    orientation_at: int | None
    order: str
    has_pages: bool


def read_tiff_header(data: bytes) -> TiffHeader | None:
    r"""Read the header of a TIFF file; None if it is none or names no size.

    Args:
        data: Content of a file.

    Example:
    >>> width, height = b"\1\0\0\3\0\0\0\1\0\7\0\0", b"\1\1\0\3\0\0\0\1\0\5\0\0"
    >>> data = b"MM\0*\0\0\0\x08\0\2" + width + height + b"\0\0\0\0"
    >>> header = read_tiff_header(data)
    >>> header.height, header.width, header.complete
    (5, 7, False)
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return None
    try:
        tags, following = _directory(data, order, _unpack(order + "I", data, 4))
        width, height = tags[_WIDTH][0][0], tags[_HEIGHT][0][0]
    except (struct.error, KeyError, IndexError):
        return None

    def first(tag, default):
        values = tags.get(tag, ((), 0))[0]
        return values[0] if values else default

    bits = max(tags.get(_BITS, ((1,), 0))[0], default=1)
    return TiffHeader(
        height=height,
        width=width,
        bits=bits,
        complete=_is_complete(tags, len(data)),
        unsupported=_unsupported(
            bits,
            first(_SAMPLE_FORMAT, 1),
            first(_SAMPLES, 1),
            first(_COMPRESSION, 1),
            first(_PHOTOMETRIC, 1),
        ),
        orientation_at=tags[_ORIENTATION][1] if _ORIENTATION in tags else None,
        order=order,
        has_pages=_has_pages(data, order, following),
    )


def without_orientation(data: bytes, header: TiffHeader) -> bytes:
    """Return the file with an upright orientation, so that pixels are read as stored.

    OpenCV turns TIFF images by the tag, and takes no flag against it.
    """
    at = header.orientation_at
    if at is None:
        return data
    return data[:at] + struct.pack(header.order + "H", 1) + data[at + 2 :]


def _directory(data: bytes, order: str, at: int):
    """Return tag -> (values, where they stand), and where the next directory is."""
    count = _unpack(order + "H", data, at)
    if not 0 < count <= _MAX_ENTRIES:
        raise IndexError(f"{count} tags")
    tags = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack_from(order + "HHI", data, entry)
        if kind not in _SIZES:
            continue
        place, size = entry + 8, _SIZES[kind] * number
        if size > 4:
            place = _unpack(order + "I", data, place)
        if size <= len(data):  # a damaged count must not fill the memory
            format = f"{order}{number}{_LETTERS[kind]}"
            tags[tag] = struct.unpack_from(format, data, place), place
    return tags, _unpack(order + "I", data, at + 2 + 12 * count)


def _is_complete(tags: dict, size: int) -> bool:
    for starts, lengths in ((_STRIPS, _STRIP_BYTES), (_TILES, _TILE_BYTES)):
        if starts in tags and lengths in tags:
            pieces = zip(tags[starts][0], tags[lengths][0], strict=False)
            return all(start + length <= size for start, length in pieces)
    return False


def _unsupported(
    bits: int, sample_format: int, samples: int, compression: int, photometric: int
) -> str:
    if sample_format != 1 or bits > 16:
        return f"its samples are signed, float or of {bits} bits; scale them to 8 bits"
    if samples > 4 or photometric not in _PHOTOMETRICS:
        return f"its {samples} channels are no RGB; save it as RGB"
    if compression not in _COMPRESSIONS:
        return f"its compression {compression} is not supported; save it with LZW"
    return ""


def _has_pages(data: bytes, order: str, at: int) -> bool:
    """Tell whether a directory is there that is no overview and no mask of another."""
    if not at:
        return False
    try:
        tags, _ = _directory(data, order, at)
    except (struct.error, IndexError):
        return False
    kind = tags.get(_NEW_SUBFILE_TYPE, ((0,), 0))[0]
    return not (kind and kind[0] & 0b101)


def _unpack(format: str, data: bytes, at: int) -> int:
    return struct.unpack_from(format, data, at)[0]
