"""Images from disk as RGB, checked: a bad file is one clear error, never a crash."""

from pathlib import Path

import cv2
import numpy as np

from keras_frm.files import read_bytes, unreadable, warn_of_data
from keras_frm.images.header import ImageHeader, png_chunks, read_header
from keras_frm.images.orientation import orientation, turned
from keras_frm.images.tiff import read_tiff_header, without_orientation

# The fewer decoders, the smaller the attack surface.
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
# Twice what Pillow warns of: half a gigabyte of RGB.
MAX_PIXELS = 178_956_970
# Of 256: fewer between the darkest and the brightest pixel of 16 bits are warned of.
_MIN_SPAN = 64


def read_image(path: str | Path, *, upright: bool = False) -> np.ndarray:
    """Read an image as RGB.

    Of 16 bits the upper 8 are read. If they say little, as in thermal images whose
    values fill a part of the range, a `DataWarning` says how to scale them. Of a TIFF
    file the first image is read.

    Args:
        path: A PNG, JPEG, BMP, WebP or TIFF file. Bytes behind the image do no harm.
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
    stored = data = read_bytes(path)
    header = _checked_header(path, data)
    if not header.complete:
        raise unreadable(path, "it is truncated")
    if header.kind == "TIFF":
        data = _checked_tiff(path, data)
    # OpenCV turns other formats in other versions: here one rule holds for all.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        bgr = cv2.imdecode(np.frombuffer(_still(data), np.uint8), flags)  # (H, W, 3)
    except cv2.error as error:
        raise unreadable(path, error.err) from error
    if bgr is None:
        raise unreadable(path, "its pixel data is damaged or truncated")
    if header.bits == 16 and int(bgr.max()) - int(bgr.min()) < _MIN_SPAN:
        warn_of_data(
            "An image of 16 bits uses a small part of their range, and little of it is "
            "left in 8 bits. Scale all images alike before: with lo and hi the least "
            "and greatest value of all of them, "
            "np.uint8(255 * np.clip((x - lo) / (hi - lo), 0, 1)).",
            path,
        )
    rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    return turned(rgb, orientation(stored)) if upright else rgb


def image_size(path: str | Path) -> tuple[int, int]:
    """Read the size of an image, (height, width) in pixels, from its header.

    It is that of the pixels as they are stored, whatever EXIF says.

    Args:
        path: A PNG, JPEG, BMP, WebP or TIFF file.

    Raises:
        DataError: The file is missing, empty, too large or not an image.
    """
    header = _checked_header(path, read_bytes(path))
    return header.height, header.width


def _checked_tiff(path: str | Path, data: bytes) -> bytes:
    """Return a TIFF file that OpenCV reads as it is stored; refuses what it cannot."""
    tiff = read_tiff_header(data)
    if tiff.unsupported:
        raise unreadable(path, tiff.unsupported)
    if tiff.has_pages:
        warn_of_data("A TIFF file has several pages; the first is read.", path)
    return without_orientation(data, tiff)


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
    if header.height * header.width > MAX_PIXELS:
        raise unreadable(
            path,
            f"its {header.width}x{header.height} pixels are over the limit of "
            f"{MAX_PIXELS // 10**6} million",
        )
    return header
