"""Write files that are there whole or not at all."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Give a hidden file to write, which takes a file's name when the block ends.

    If the block fails, the hidden file is removed and the old one stays.

    Args:
        path: The file; its folder is made if missing.

    Yields:
        Path of the hidden file beside it, with the same ending.

    Example:
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(f"{folder}/a.txt") as unfinished:
    ...         _ = unfinished.write_text("done")
    ...     os.listdir(folder)
    ['a.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{uuid.uuid4().hex}.{path.name}")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike, data: bytes) -> None:
    """Write a file whole.

    Args:
        path: The file; its folder is made if missing.
        data: Its content.
    """
    with replacing(path) as unfinished:
        unfinished.write_bytes(data)


def write_png(path: str | os.PathLike, picture: np.ndarray) -> None:
    """Write a picture as a PNG file, whole.

    Args:
        path: The file; its folder is made if missing.
        picture: (H, W, 3) uint8 RGB, or (H, W) uint8 such as a mask of train ids.
    """
    if picture.ndim == 3:
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    write_bytes(path, cv2.imencode(".png", picture)[1].tobytes())
