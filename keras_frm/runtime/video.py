"""Read, write and annotate videos, frame by frame."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from keras_frm.files import replacing

# Codecs that OpenCV's wheels can write without further software.
_CODECS = {".mp4": "mp4v", ".avi": "MJPG"}

# For sources that do not tell their frame rate, as many cameras do not.
_DEFAULT_FPS = 25.0


def frames(source: str | Path | int) -> Iterator[np.ndarray]:
    """Read a video or a camera; one frame is in memory at a time.

    The source is opened at once, so that errors come before the first frame.

    Args:
        source: A video file, or the index of a camera.

    Returns:
        Iterator of frames (H, W, 3) uint8 RGB; a camera's has no end. It closes the
        source at the end and when it is closed.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If the file is not a video, or the camera does not open.
    """
    return _read(_open(source))


@contextlib.contextmanager
def write_video(
    path: str | Path, fps: float, size: tuple[int, int]
) -> Iterator[Callable[[np.ndarray], None]]:
    """Write a video that is there complete or not at all.

    Frames go to a hidden file beside `path`, which takes its name when the block ends
    and is removed when the block fails. Sound is not written.

    Args:
        path: The file, `.mp4` (MPEG-4) or `.avi` (Motion JPEG); its folder is made if
            missing.
        fps: Frames per second.
        size: Height and width of the frames, in pixels. The codecs take even sizes
            only: an odd one is written one pixel larger.

    Yields:
        A function that writes one frame (H, W, 3) uint8 RGB.

    Raises:
        ValueError: If the name's ending, the frame rate or a frame does not fit, or no
            frame was written.

    Example:
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with write_video(f"{folder}/a.avi", fps=5, size=(16, 16)) as write:
    ...         write(np.zeros((16, 16, 3), np.uint8))
    ...     len(list(frames(f"{folder}/a.avi")))
    1
    """
    path = Path(path)
    codec = _CODECS.get(path.suffix.lower())
    if codec is None:
        raise ValueError(
            f"Cannot write a video to '{path}': the name must end in "
            f"{' or '.join(_CODECS)}."
        )
    with replacing(path) as unfinished:
        height, width = (side + side % 2 for side in size)
        writer = cv2.VideoWriter(
            str(unfinished), cv2.VideoWriter_fourcc(*codec), fps, (width, height)
        )
        written = 0

        def write(frame: np.ndarray) -> None:
            nonlocal written
            if frame.shape != (*size, 3) or frame.dtype != np.uint8:
                raise ValueError(
                    f"Frame {written} of '{path}' is {frame.dtype} of shape "
                    f"{frame.shape}; all frames must be uint8 of shape {(*size, 3)}."
                )
            writer.write(_bgr_of_even_size(frame))
            written += 1

        try:
            if not writer.isOpened():
                raise ValueError(
                    f"OpenCV cannot write '{path}' with {fps} frames per second of "
                    f"{size[0]}x{size[1]} pixels; check the folder, the rate and the "
                    "size."
                )
            yield write
            if not written:
                raise ValueError(f"No frame was written to '{path}'.")
        finally:
            writer.release()


def annotate_video(
    source: str | Path | int,
    target: str | Path,
    annotate: Callable[[np.ndarray], np.ndarray],
    progress: Callable[[int, int | None], None] | None = None,
) -> int:
    """Change every frame of a video and write the result.

    A camera is recorded until Ctrl-C (KeyboardInterrupt), which ends the video in
    order; on a file Ctrl-C leaves no result.

    Args:
        source: A video file, or the index of a camera.
        target: The video to write, `.mp4` or `.avi`.
        annotate: Maps a frame (H, W, 3) uint8 RGB to a frame of any one size.
        progress: Called with the frames done and their total, None if unknown.

    Returns:
        Number of frames.

    Raises:
        FileNotFoundError: If the source is missing.
        ValueError: If the source cannot be read, holds no frame, or is the target, or
            the result cannot be written.
    """
    if not isinstance(source, int) and Path(source).resolve() == Path(target).resolve():
        raise ValueError(f"Source and target are both '{target}'; name another target.")
    capture = _open(source)
    fps = capture.get(cv2.CAP_PROP_FPS)
    fps = fps if 1 <= fps <= 1000 else _DEFAULT_FPS
    total = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    total = total if total > 0 else None
    done = 0
    with contextlib.closing(_read(capture)) as originals:
        pictures = map(annotate, originals)
        first = next(pictures, None)
        if first is None:
            raise ValueError(f"'{source}' holds no frame that can be read.")
        with write_video(target, fps, first.shape[:2]) as write:
            try:
                for picture in itertools.chain([first], pictures):
                    write(picture)
                    done += 1
                    if progress is not None:
                        progress(done, total)
            except KeyboardInterrupt:
                if not isinstance(source, int):
                    raise
    return done


def _open(source: str | Path | int) -> cv2.VideoCapture:
    """Open a video file or a camera."""
    if isinstance(source, int):
        capture = cv2.VideoCapture(source)
        if not capture.isOpened():
            raise ValueError(f"Camera {source} does not open; is it there and free?")
        return capture
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"There is no video file '{path}'.")
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise ValueError(f"'{path}' is not a video that OpenCV can read.")
    return capture


def _read(capture: cv2.VideoCapture) -> Iterator[np.ndarray]:
    """Yield the frames as RGB and close the capture."""
    try:
        while True:
            read, frame = capture.read()
            if not read:
                return
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)  # (H, W, 3)
    finally:
        capture.release()


def _bgr_of_even_size(frame: np.ndarray) -> np.ndarray:
    """Return a frame as the codecs take it: BGR, an odd side one pixel larger."""
    bottom, right = frame.shape[0] % 2, frame.shape[1] % 2
    bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    return cv2.copyMakeBorder(bgr, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
