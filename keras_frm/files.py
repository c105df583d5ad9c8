"""Read files, and write them so that they are there whole or not at all."""

import contextlib
import contextvars
import os
import re
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

_MAX_FILE_BYTES = 512 * 2**20
# Beside names with a dot in front: what file servers, Windows and archives add.
_SYSTEM_NAMES = frozenset(
    {
        "@eadir",
        "@recycle",
        "@tmp",
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "__macosx",
        "__pycache__",
        "thumbs.db",
        "desktop.ini",
    }
)


class DataError(ValueError):
    """What is wrong with a data file, in one line; `path` if it cannot be read."""

    def __init__(self, message: str, path: str | os.PathLike | None = None):
        super().__init__(message)
        self.path = path


class DataWarning(UserWarning):
    """What was assumed of a data file, in one line that names none; `path` does."""

    def __init__(self, message: str, path: str | os.PathLike):
        super().__init__(message)
        self.path = path


_collected: contextvars.ContextVar[list[DataWarning] | None] = contextvars.ContextVar(
    "collected", default=None
)


def warn_of_data(message: str, path: str | os.PathLike) -> None:
    """Warn of a data file, or add the warning to those that are collected.

    Args:
        message: One line without the file's name, so that it is said once for many.
        path: The file.
    """
    found = _collected.get()
    if found is None:
        warnings.warn(DataWarning(message, path), stacklevel=3)
    else:
        found.append(DataWarning(message, path))


@contextlib.contextmanager
def collected_warnings() -> Iterator[list[DataWarning]]:
    """Collect what the block, in its own thread, warns of data files.

    Example:
    >>> with collected_warnings() as found:
    ...     warn_of_data("Half of it is black.", "a.png")
    >>> [(str(warning), warning.path) for warning in found]
    [('Half of it is black.', 'a.png')]
    """
    token = _collected.set([])
    try:
        yield _collected.get()
    finally:
        _collected.reset(token)


def data_error(error: BaseException) -> DataError | None:
    r"""Find the DataError behind an exception of TensorFlow.

    tf.data turns what a reader raises into its own exception, whose text holds our
    line among others.

    Args:
        error: What iterating, `fit` or `evaluate` raised.

    Returns:
        The DataError with its one line, None where a file was not the cause.

    Example:
    >>> data_error(RuntimeError("{{node}} DataError: 'a.png' is empty.\nTraceback"))
    DataError("'a.png' is empty.")
    >>> data_error(RuntimeError("out of memory")) is None
    True
    """
    if isinstance(error, DataError):
        return error
    found = re.search(r"\bDataError: (.+)", str(error))
    return DataError(found[1]) if found else None


def is_system_path(path: str | os.PathLike) -> bool:
    """Tell whether a file is hidden or one that a system keeps beside the user's.

    Args:
        path: Name of a file or folder, or its path below the folder that is searched:
            what stands above that does not count.

    Example:
    >>> [is_system_path(p) for p in ("a/b.png", "a/._b.png", "@eaDir/b.png")]
    [False, True, True]
    """
    return any(
        part.startswith(".") or part.lower() in _SYSTEM_NAMES
        for part in Path(path).parts
    )


def read_bytes(path: str | os.PathLike) -> bytes:
    """Return a file's content; a FIFO or a device is no file.

    Args:
        path: The file, of up to 512 MB.

    Raises:
        DataError: There is no such file, or it is empty, too large or not readable.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise DataError(f"There is no file '{path}'. Check the path.", path)
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise unreadable(path, f"it is over {_MAX_FILE_BYTES >> 20} MB")
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error.strerror) from error
    if not data:
        raise unreadable(path, "it is empty")
    return data


def unreadable(path: str | os.PathLike, reason: object) -> DataError:
    """Return the one line for a file that cannot be read.

    Args:
        path: The file.
        reason: What is wrong with it.

    Example:
    >>> unreadable("a.png", "it is empty")
    DataError("Cannot read 'a.png': it is empty. Replace or remove the file.")
    """
    reason = " ".join(str(reason).split())
    return DataError(
        f"Cannot read '{path}': {reason}. Replace or remove the file.", path
    )


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
