"""Whether a video file ends before its end: copied in part, or damaged.

The number of frames that OpenCV tells does not say it alone. MP4 files count in their
index, where frames may be hidden by an edit list; AVI files count frames that are not
there; of Matroska and WebM it is the length of all, sound too, times the rate. So that
number is doubted first, and then the file is asked.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from keras_frm.files import DataError

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_MOST_BOXES = 100_000  # of a file that may be made to be read for ever
_TAIL = 4096  # bytes


class IncompleteVideoError(DataError):
    """How many frames of a video could be read, of how many."""


def check_complete(path: Path, read: int, total: int | None, gaps: int) -> None:
    """Check a video whose last frame was read.

    Args:
        path: The file.
        read: Frames that were read.
        total: Frames that OpenCV told, None if unknown.
        gaps: How often reading failed and went on.

    Raises:
        IncompleteVideoError: The file ends early, or frames are lost within it.
    """
    if total is not None and read >= total:
        return
    kind = _kind(path)
    about = "about " if kind == "matroska" else ""
    counted = f"{read} frames" if total is None else f"{read} of {about}{total} frames"
    if _ends_early(path, kind):
        raise IncompleteVideoError(
            f"'{path}': {counted}: the video ends early; its file is cut or damaged.",
            path,
        )
    if gaps:
        raise IncompleteVideoError(
            f"'{path}': {counted}: the others cannot be decoded; its file is damaged.",
            path,
        )


def _ends_early(path, kind):
    """Tell whether there is less of a file than it says of itself."""
    size = path.stat().st_size
    with path.open("rb") as file:
        last = max(_ends(file, kind), default=0)
        file.seek(max(0, size - _TAIL))
        only_zeros = not any(file.read(_TAIL))  # space that was kept for a download
    return last > size or only_zeros


def _kind(path):
    with path.open("rb") as file:
        head = file.read(12)
    if head[:4] == b"RIFF":
        return "avi"
    if head[:4] == _EBML:
        return "matroska"
    return "mp4" if head[4:8] in _MP4_BOXES else None


def _ends(file, kind) -> Iterator[int]:
    """Yield where a file's outermost parts end, as far as they say so."""
    if kind == "matroska":
        yield from _matroska_ends(file)
    elif kind is not None:
        header = _box if kind == "mp4" else _riff_chunk
        at = 0
        for _ in range(_MOST_BOXES):
            file.seek(at)
            size = header(file)
            if size is None:
                return
            at += size
            yield at


def _box(file: BinaryIO) -> int | None:
    """Return the bytes of an MP4 box; None at the end or where it does not say."""
    head = file.read(16)
    if len(head) < 8:
        return None
    size = int.from_bytes(head[:4], "big")
    if size == 1 and len(head) == 16:
        size = int.from_bytes(head[8:], "big")
    return size if size >= 8 else None


def _riff_chunk(file: BinaryIO) -> int | None:
    """Return the bytes of an AVI file's RIFF chunk, of which large files have more."""
    head = file.read(8)
    if len(head) < 8 or head[:4] != b"RIFF":
        return None
    size = int.from_bytes(head[4:], "little")
    return None if size in (0, 2**32 - 1) else 8 + size


def _matroska_ends(file):
    """Yield the end of the one segment that follows the header."""
    file.seek(len(_EBML))
    header = _varying_size(file)
    if header is None:
        return
    file.seek(header, os.SEEK_CUR)
    if file.read(len(_SEGMENT)) != _SEGMENT:
        return
    size = _varying_size(file)
    if size is not None:
        yield file.tell() + size


def _varying_size(file):
    """Return an EBML size; None where it is unknown, as of what was sent live."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    number = int.from_bytes(first + file.read(length - 1), "big")
    bits = 7 * length
    size = number & (2**bits - 1)
    return None if size == 2**bits - 1 else size
