"""Images from disk as RGB, checked: a bad file is one clear error, never a crash."""

from pathlib import Path

import cv2
import numpy as np

from keras_frm.files import read_bytes, unreadable
from keras_frm.images.header import ImageHeader, png_chunks, read_header
from keras_frm.images.orientation import orientation, turned

# The fewer decoders, the smaller the attack surface.
FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
# Twice what Pillow warns of: half a gigabyte of RGB.
_MAX_PIXELS = 178_956_970


def read_image(path: str | Path, *, upright: bool = False) -> np.ndarray:
    """Read an image as RGB.

    Args:
        path: A PNG, JPEG, BMP or WebP file. Bytes behind the image do no harm.
        upright: Turn it as its EXIF orientation says and every viewer does: right for
            an image alone. A mask belongs to the pixels as they are stored, and turning
            the image of a pair would part the two.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DataError: The file is missing, empty, truncated, too large or not an image.

    Example:
    >>> import os, tempfile
    >>> from keras_frm.files import write_png
    >>> path = os.path.join(tempfile.mkdtemp(), "red.png")
    >>> write_png(path, np.full((2, 4, 3), (255, 0, 0), np.uint8))
    >>> read_image(path).shape, read_image(path)[0, 0].tolist()
    ((2, 4, 3), [255, 0, 0])
    """
    data = read_bytes(path)
    if not _checked_header(path, data).complete:
        raise unreadable(path, "it is truncated")
    # OpenCV turns other formats in other versions: here one rule holds for all.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        bgr = cv2.imdecode(np.frombuffer(_still(data), np.uint8), flags)  # (H, W, 3)
    except cv2.error as error:
        raise unreadable(path, error.err) from error
    if bgr is None:
        raise unreadable(path, "its pixel data is damaged or truncated")
    rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    return turned(rgb, orientation(data)) if upright else rgb


def image_size(path: str | Path) -> tuple[int, int]:
    """Read the size of an image, (height, width) in pixels, from its header.

    It is that of the pixels as they are stored, whatever EXIF says.

    Args:
        path: A PNG, JPEG, BMP or WebP file.

    Raises:
        DataError: The file is missing, empty, too large or not an image.
    """
    header = _checked_header(path, read_bytes(path))
    return header.height, header.width


def _still(data: bytes) -> bytes:
    """Return an animated PNG as readers of plain PNG see it.

    OpenCV 5 gives the animation's first frame, which may be another picture.
    """
    for name, start, end in png_chunks(data) if data[1:4] == b"PNG" else ():
        if name == b"acTL":
            return data[:start] + data[end:]
        if name == b"IDAT":
            break
    return data


def _checked_header(path: str | Path, data: bytes) -> ImageHeader:
    """Return the header; refuses what is no image and what would fill the memory."""
    header = read_header(data)
    if header is None:
        raise unreadable(path, f"it is not {' or '.join(FORMATS)}")
    if header.height * header.width > _MAX_PIXELS:
        raise unreadable(
            path,
            f"its {header.width}x{header.height} pixels are over the limit of "
            f"{_MAX_PIXELS // 10**6} million",
        )
    return header
