"""Open a video, a camera or a stream, and name it without its password."""

import os
import re
from pathlib import Path

import cv2

from keras_frm.files import DataError

# Two letters at least: "C:/" begins a path.
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+:/+)(.*)", re.IGNORECASE | re.DOTALL)


def is_stream(source: str | Path | int) -> bool:
    """Tell whether a source is an address, such as `rtsp://camera/1`, and no file."""
    found = isinstance(source, str) and _SCHEME.fullmatch(source)
    return bool(found) and found[1].endswith("://") and not os.path.exists(source)


def open_capture(source: str | Path | int) -> cv2.VideoCapture:
    """Open a video file, a camera or a stream.

    Args:
        source: A file, the index of a camera, or the address of a stream.

    Raises:
        FileNotFoundError: The file is missing.
        DataError: It is not a video, or the camera or stream does not open.
    """
    if isinstance(source, int):
        capture = cv2.VideoCapture(source)
        problem = f"Camera {source} does not open; is it there and free?"
    elif is_stream(source):
        # OpenCV's other readers print the address with its password.
        capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG)
        problem = (
            f"The stream {shown(source)} does not open; check the address, the "
            "password and the network."
        )
    else:
        if not Path(source).is_file():
            raise FileNotFoundError(f"There is no video file '{source}'.")
        capture = cv2.VideoCapture(str(source))
        problem = f"'{source}' is not a video that OpenCV can read."
    if not capture.isOpened():
        raise DataError(problem, source)
    return capture


def shown(source: str | Path | int) -> str:
    """Return how a source is named in messages: an address without what is secret.

    Example:
    >>> shown("rtsp://me:secret@camera:554/live?token=1")
    'rtsp://camera:554/live'
    """
    found = _SCHEME.fullmatch(str(source))
    if found is None:
        return str(source)
    scheme, rest = found.groups()
    rest = re.split(r"[?#]", rest)[0] if "@" not in rest else _after_password(rest)
    return scheme + rest


def _after_password(rest: str) -> str:
    """Return an address from its host on, without its query.

    A password may hold "/" and "?" though it should not; a path may hold "@".
    """
    host = rest.partition("/")[0]
    port = host.partition(":")[2]
    if "@" in host or (port and not port.isdecimal()):
        rest = rest.rpartition("@")[2]
    return re.split(r"[?#]", rest)[0]
