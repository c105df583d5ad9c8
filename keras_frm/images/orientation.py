"""The orientation that EXIF gives an image: how viewers turn what is stored."""

from collections.abc import Iterator

import numpy as np

from keras_frm.images.header import png_chunks

# Orientation -> whether rows and columns change places first, then whether rows, and
# columns, are read from the end: CIPA DC-008 (EXIF 2.32), tag 274.
_TURNS = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
_TAG = 0x0112
_SIZES = {1: 1, 3: 2, 4: 4}  # type -> bytes; EXIF says 3, some write another
_EXIF = b"Exif\0\0"
# JPEG's markers without a length, and those that its headers end with.
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_SCAN, _END, _APP1 = 0xDA, 0xD9, 0xE1


def orientation(data: bytes) -> int:
    """Return the orientation of an image.

    Args:
        data: Content of a JPEG, PNG, WebP or TIFF file; others have no such tag.

    Returns:
        1 to 8 as EXIF counts; 1, as stored, where there is no tag or a damaged one.

    Example:
    >>> orientation(b"BM")
    1
    """
    if data.startswith(b"\xff\xd8"):
        blocks = _jpeg_blocks(data)
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        blocks = _png_blocks(data)
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        blocks = _webp_blocks(data)
    else:
        blocks = iter([data])  # a TIFF file is built as an EXIF block is
    return _orientation_of(next(blocks, b""))


def turned(image: np.ndarray, orientation: int) -> np.ndarray:
    """Turn an image as viewers do.

    Args:
        image: (H, W, ...) as stored.
        orientation: 1 to 8.

    Returns:
        (H, W, ...), or (W, H, ...) for 5 to 8, in one piece of memory.

    Example:
    >>> turned(np.array([[1, 2, 3]]), 6).tolist()
    [[1], [2], [3]]
    >>> turned(np.array([[1, 2, 3]]), 3).tolist()
    [[3, 2, 1]]
    """
    if orientation not in _TURNS:
        return image
    transposes, rows, columns = _TURNS[orientation]
    if transposes:
        image = image.swapaxes(0, 1)
    image = image[:: -1 if rows else 1, :: -1 if columns else 1]
    return np.ascontiguousarray(image)


def turns_sides(orientation: int) -> bool:
    """Tell whether an orientation makes width of height."""
    return orientation in _TURNS and _TURNS[orientation][0]


def _orientation_of(exif: bytes) -> int:
    """Read the tag from an EXIF block: a TIFF header and its first directory."""
    exif = exif.removeprefix(_EXIF)
    order = {b"II*\0": "little", b"MM\0*": "big"}.get(exif[:4])
    if order is None:
        return 1

    def number(at: int, size: int) -> int:
        return int.from_bytes(exif[at : at + size], order)

    first = number(4, 4)
    for at in range(first + 2, first + 2 + 12 * number(first, 2), 12):
        if at + 12 > len(exif):
            break
        if number(at, 2) == _TAG:
            value = number(at + 8, _SIZES.get(number(at + 2, 2), 0))
            return value if value in _TURNS else 1
    return 1


def _jpeg_blocks(data: bytes) -> Iterator[bytes]:
    """Yield the EXIF blocks before a JPEG's first scan."""
    at = 2
    while data[at : at + 1] == b"\xff" and at + 4 <= len(data):
        marker = data[at + 1]
        if marker == 0xFF or marker in _ALONE:  # 0xFF fills
            at += 1 if marker == 0xFF else 2
            continue
        if marker in (_SCAN, _END):
            return
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == _APP1 and data.startswith(_EXIF, at + 4):
            yield data[at + 4 : at + 2 + length]
        at += 2 + max(length, 2)


def _png_blocks(data: bytes) -> Iterator[bytes]:
    for name, start, end in png_chunks(data):
        if name == b"eXIf":
            yield data[start + 8 : end - 4]


def _webp_blocks(data: bytes) -> Iterator[bytes]:
    at = 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"EXIF":
            yield data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
