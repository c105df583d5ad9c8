"""Videos as other programs leave them: variable rates, indices in front, cut files."""

import struct
from pathlib import Path

import cv2
import numpy as np

SIZE = (48, 64)


def write_clip(path: Path, levels, fps=10, codec="mp4v") -> Path:
    """Write a video of grey frames; the ending names the container."""
    fourcc = cv2.VideoWriter_fourcc(*codec)
    writer = cv2.VideoWriter(str(path), fourcc, fps, SIZE[::-1])
    assert writer.isOpened()
    for level in levels:
        writer.write(np.full((*SIZE, 3), level, np.uint8))
    writer.release()
    return path


def noisy_clip(path: Path, count=40, codec="mp4v") -> Path:
    """Write a video whose frames need about equal space."""
    fourcc = cv2.VideoWriter_fourcc(*codec)
    writer = cv2.VideoWriter(str(path), fourcc, 10, SIZE[::-1])
    assert writer.isOpened()
    random = np.random.default_rng(0)
    for _ in range(count):
        writer.write(random.integers(0, 256, (*SIZE, 3), np.uint8))
    writer.release()
    return path


def cut(path: Path, share=0.5) -> Path:
    """Leave the first part of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


def blank_end(path: Path, share=0.5) -> Path:
    """Put zeros into the last part of a file, as of a download that stopped."""
    content = path.read_bytes()
    kept = int(share * len(content))
    path.write_bytes(content[:kept] + bytes(len(content) - kept))
    return path


def read_levels(path: Path) -> list[int]:
    """Return the mean of each frame that OpenCV reads."""
    capture, levels = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        levels.append(round(read[1].mean()))
    return levels


def index_in_front(path: Path) -> Path:
    """Move the index of an MP4 file before its pictures, as for the web."""
    boxes = dict(_boxes(path.read_bytes()))
    ahead = 8 + len(boxes[b"moov"])

    def moved(offsets):
        numbers = np.frombuffer(offsets[8:], ">u4") + ahead
        return offsets[:8] + numbers.astype(">u4").tobytes()

    boxes[b"moov"] = _edited(boxes[b"moov"], {b"stco": moved})
    order = [b"ftyp", b"moov", *(name for name in boxes if name == b"free"), b"mdat"]
    path.write_bytes(b"".join(_box(name, boxes[name]) for name in order))
    return path


def variable_rate(path: Path, steps: list[float]) -> Path:
    """Give each frame of an MP4 file a length of its own, in seconds."""
    ticks = _ticks(path)
    table = b"".join(struct.pack(">II", 1, round(step * ticks)) for step in steps)
    edits = {
        b"stts": lambda _: struct.pack(">II", 0, len(steps)) + table,
        b"edts": lambda _: None,  # it says how long all was at the old rate
    }
    _replace(path, edits)
    return path


def hide_first(path: Path, seconds: float) -> Path:
    """Let an edit list begin an MP4 file later, as telephones cut videos."""
    ticks = _ticks(path)

    def later(content):
        length, _, rate = struct.unpack(">IiI", content[8:20])
        entry = (length - round(1000 * seconds), round(seconds * ticks), rate)
        return content[:8] + struct.pack(">IiI", *entry)

    _replace(path, {b"elst": later})
    return path


def _ticks(path):
    """Return what times are counted in, per second."""
    content = path.read_bytes()
    for name in (b"moov", b"trak", b"mdia", b"mdhd"):
        content = dict(_boxes(content))[name]
    return struct.unpack(">I", content[12:16])[0]


def _replace(path, edits):
    content = path.read_bytes()
    *others, (last, moov) = _boxes(content)
    assert last == b"moov"
    path.write_bytes(
        b"".join(_box(*box) for box in others) + _box(last, _edited(moov, edits))
    )


def _edited(content, edits):
    """Return the boxes within a box with some of them changed or, if None, left out."""
    parts = []
    for name, inside in _boxes(content):
        if name in edits:
            inside = edits[name](inside)
        elif name in (b"trak", b"mdia", b"minf", b"stbl", b"edts"):
            inside = _edited(inside, edits)
        parts += [] if inside is None else [_box(name, inside)]
    return b"".join(parts)


def _boxes(content):
    at, found = 0, []
    while at < len(content):
        size, name = struct.unpack(">I4s", content[at : at + 8])
        found.append((name, content[at + 8 : at + size]))
        at += size
    return found


def _box(name, content):
    return struct.pack(">I4s", 8 + len(content), name) + content
