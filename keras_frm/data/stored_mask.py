"""What a mask file stores, before anybody asks what it means."""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from keras_frm.files import DataError, read_bytes, unreadable
from keras_frm.images.header import read_header
from keras_frm.images.tiff import read_tiff_header, without_orientation

# What Pillow may open: the fewer decoders, the smaller the attack surface.
_FORMATS = ("PNG", "BMP", "TIFF", "GIF")
MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif")
_LOSSY = ("jpeg", "tiff_jpeg", "webp")  # as Pillow names what a TIFF file may have
_WIDE_MODES = ("I", "I;16", "I;16B", "I;16L")


class StoredMask(NamedTuple):
    """The numbers of a mask, and what a viewer shows for them.

    Args:
        kind: "grey" (8 or 16 bits), "few bits" (grey of 1, 2 or 4 bits), "palette",
            "equal channels" (RGB whose channels are equal everywhere), "colours".
        values: (H, W) integers; (H, W, 3) uint8 RGB for "colours".
        shown: (256, 3) uint8 RGB that a viewer shows for each value; None for "grey",
            which shows the values, and for "colours".
    """

    kind: str
    values: np.ndarray
    shown: np.ndarray | None = None


def read_stored_mask(path: str | Path) -> StoredMask:
    """Read a mask file as it is.

    Args:
        path: A PNG, BMP, TIFF or GIF file of one picture, without loss.

    Raises:
        DataError: The file is missing, empty, truncated or not a mask.
    """
    data = read_bytes(path)
    header = read_header(data)
    if header is not None and header.kind == "TIFF":
        data = _checked_tiff(path, data)
    bits = 8 if header is None else header.bits
    if data.startswith(b"\x89PNG") and bits == 16 and data[25:26] in b"\2\4\6":
        raise DataError(
            f"Mask '{path}' has several channels of 16 bits. Save it with 8.", path
        )
    # Pillow, because it gives the indices of a palette PNG, as BDD100K ships;
    # OpenCV and TensorFlow expand them to the colours of the palette.
    with _open(path, data) as image:
        _check_picture(path, image)
        try:
            # Grey of few bits is scaled to 0..255 by some readers and not by others.
            if image.mode == "1":
                return _few_bits(np.array(image).astype(np.uint8), 1)
            if image.mode == "L" and bits < 8:
                step = 255 // (2**bits - 1)
                return _few_bits(np.array(image) // step, bits)
            if image.mode == "P":
                return StoredMask("palette", np.array(image), _palette(image))
            if image.mode in ("L", *_WIDE_MODES):
                return StoredMask("grey", np.array(image))
            if image.mode in ("LA", "RGB", "RGBA"):
                pixels = np.array(image)  # (H, W, 2..4)
        except Exception as error:  # damaged files raise almost anything in Pillow
            raise unreadable(path, error) from error
        if image.mode not in ("LA", "RGB", "RGBA"):
            raise DataError(
                f"Mask '{path}' has the pixel type '{image.mode}'. Save it as 8 or 16 "
                "bit grey, as palette or as RGB.",
                path,
            )
    if image.mode != "RGB":
        pixels = _opaque(pixels, path)
    if pixels.shape[-1] == 1:
        return StoredMask("grey", pixels[..., 0])
    if (pixels == pixels[..., :1]).all():
        return StoredMask("equal channels", pixels[..., 0].copy(), _grey_ramp(8))
    return StoredMask("colours", pixels)


def _checked_tiff(path: str | Path, data: bytes) -> bytes:
    """Return a TIFF file that Pillow reads as it is stored; refuses what it cannot."""
    header = read_tiff_header(data)
    if header.unsupported or not header.complete:
        raise unreadable(path, header.unsupported or "it is truncated")
    if header.has_pages:
        raise DataError(f"Mask '{path}' has several pages. Save one.", path)
    return without_orientation(data, header)


def _check_picture(path: str | Path, image: Image.Image) -> None:
    """Refuse an animation, and a compression that changes ids."""
    try:
        moves = image.format == "GIF" and image.n_frames > 1
    except Exception as error:  # damaged files raise almost anything in Pillow
        raise unreadable(path, error) from error
    if moves:
        raise DataError(f"Mask '{path}' has several pictures. Save one.", path)
    if image.info.get("compression") in _LOSSY:
        raise DataError(
            f"Mask '{path}' is compressed as JPEG, which changes ids. Save it as PNG "
            "from its source.",
            path,
        )


def _few_bits(values: np.ndarray, bits: int) -> StoredMask:
    return StoredMask("few bits", values, _grey_ramp(bits))


def _grey_ramp(bits: int) -> np.ndarray:
    """Return the colours of grey samples: (256, 3)."""
    levels = np.arange(2**bits, dtype=np.uint8) * np.uint8(255 // (2**bits - 1))
    return np.resize(np.repeat(levels[:, None], 3, axis=1), (256, 3))


def _palette(image: Image.Image) -> np.ndarray:
    """Return an image's palette, black where it ends: (256, 3)."""
    entries = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    return np.concatenate([entries, np.zeros((256 - len(entries), 3), np.uint8)])


def _opaque(pixels: np.ndarray, path: str | Path) -> np.ndarray:
    """Take off the alpha channel, which must hide nothing: (H, W, n + 1) -> (H, W, n).

    An editor keeps the colours below what was erased, and nobody sees these.
    """
    transparent = pixels[..., -1] < 255  # (H, W)
    if pixels[transparent].any():
        raise DataError(
            f"Mask '{path}' has transparent pixels that store a class. Save it without "
            "transparency.",
            path,
        )
    return pixels[..., :-1]


def _open(path: str | Path, data: bytes) -> Image.Image:
    """Read a mask's header with Pillow, whose limits on size stay on."""
    try:
        return Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.UnidentifiedImageError as error:
        raise unreadable(path, f"it is not {' or '.join(_FORMATS)}") from error
    except Exception as error:  # damaged files raise almost anything in Pillow
        raise unreadable(path, error) from error
