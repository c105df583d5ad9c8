"""What the bytes of an image file say before any pixel is decoded."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from keras_frm.images.tiff import read_tiff_header

# In entropy-coded data 0xFF is followed by 0 (a data byte), by a restart marker or by
# another 0xFF (a fill byte); anything else is the next marker.
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_START_OF_SCAN, _END = 0xDA, 0xD9
# All of 0xC0 to 0xCF but Huffman tables, a reserved one and arithmetic conditioning.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})


class ImageHeader(NamedTuple):
    """Format, height and width (pixels), and whether the file holds the whole image.

    `complete` is judged for JPEG, whose decoder fills what is missing with grey, and
    for TIFF, whose decoder prints. `bits` are those of a sample of a PNG or TIFF.
    """

    kind: str
    height: int
    width: int
    complete: bool = True
    bits: int = 8


def read_header(data: bytes) -> ImageHeader | None:
    r"""Read the header of an image.

    Bytes behind the image, as those of motion photos, do no harm.

    Args:
        data: Content of a file.

    Returns:
        The header; None if it is not PNG, JPEG, BMP, WebP or TIFF or names no size.

    Example:
    >>> read_header(b"BM" + bytes(12) + b"\x28\0\0\0" + b"\5\0\0\0" + b"\7\0\0\0")
    ImageHeader(kind='BMP', height=7, width=5, complete=True, bits=8)
    >>> read_header(b"GIF89a") is None
    True
    """
    header = None
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        size = (_number(data[at : at + 4], "big") for at in (20, 16))
        header = ImageHeader("PNG", *size, bits=_number(data[24:25], "big"))
    elif data.startswith(b"\xff\xd8\xff"):
        header = _jpeg(data)
    elif data.startswith(b"BM"):
        header = ImageHeader("BMP", *_bmp_size(data))
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        header = ImageHeader("WEBP", *_webp_size(data))
    elif (tiff := read_tiff_header(data)) is not None:
        header = ImageHeader("TIFF", *tiff[:2], tiff.complete, tiff.bits)
    if header is None or not header.height or not header.width:
        return None
    return header


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the chunks of a PNG: name, where it starts, and where the next one does.

    Args:
        data: Content of a PNG file.
    """
    at = 8
    while at + 8 <= len(data):
        end = at + 12 + _number(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], at, end
        at = end


def _jpeg(data: bytes) -> ImageHeader:
    """Walk the segments of a JPEG, ITU-T T.81 annex B, up to its own end marker.

    A thumbnail or a second image inside a segment is passed over by the segment's
    length, and what comes after the end marker is never looked at.
    """
    height = width = 0
    scanned = False
    at = 2
    while (at := data.find(b"\xff", at)) >= 0:
        at = _after_fill(data, at)
        marker = data[at] if at < len(data) else None
        at += 1
        if marker is None or marker == _END:
            return ImageHeader("JPEG", height, width, scanned and marker == _END)
        if marker in _WITHOUT_LENGTH:
            continue
        length = _number(data[at : at + 2], "big")
        if length < 2 or at + length > len(data):
            break
        if marker in _FRAMES and not height:
            height = _number(data[at + 3 : at + 5], "big")
            width = _number(data[at + 5 : at + 7], "big")
        at += length
        if marker == _START_OF_SCAN:
            scanned = True
            found = _NEXT_MARKER.search(data, at)
            at = found.start() if found else len(data)
    return ImageHeader("JPEG", height, width, complete=False)


def _after_fill(data: bytes, at: int) -> int:
    while data[at : at + 1] == b"\xff":
        at += 1
    return at


def _bmp_size(data: bytes) -> tuple[int, int]:
    """Return height and width; a negative height means rows from the top."""
    if _number(data[14:18], "little") == 12:  # the header of OS/2
        return _number(data[20:22], "little"), _number(data[18:20], "little")
    height = int.from_bytes(data[22:26], "little", signed=True)
    return abs(height), _number(data[18:22], "little")


def _webp_size(data: bytes) -> tuple[int, int]:
    """Return height and width as the first chunk says: lossy, lossless or extended."""
    kind = data[12:16]
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = (_number(data[at : at + 2], "little") for at in (26, 28))
        return height & 0x3FFF, width & 0x3FFF
    if kind == b"VP8L" and len(data) >= 25:
        bits = _number(data[21:25], "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8X" and len(data) >= 30:
        return _number(data[27:30], "little") + 1, _number(data[24:27], "little") + 1
    return 0, 0


def _number(data: bytes, order: str) -> int:
    return int.from_bytes(data, order)
