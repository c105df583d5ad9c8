"""Read, write and annotate videos, frame by frame."""

import contextlib
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from keras_frm.files import DataError, replacing
from keras_frm.runtime.capture import is_stream, open_capture, shown
from keras_frm.runtime.frame_times import Timeline, frame_rate
from keras_frm.runtime.live import NewestFrame
from keras_frm.runtime.video_end import IncompleteVideoError, check_complete

# Codecs that OpenCV's wheels can write without further software.
_CODECS = {".mp4": "mp4v", ".avi": "MJPG"}

# Reads of a file that may fail one after another before that is its end.
_PATIENCE = 300


def frames(source: str | Path | int) -> Iterator[np.ndarray]:
    """Read a video, a camera or a stream; one frame is in memory at a time.

    The source is opened at once, so that errors come before the first frame. A frame
    of a file that cannot be decoded is passed over.

    Args:
        source: A video file, the index of a camera, or the address of a stream.

    Returns:
        Iterator of frames (H, W, 3) uint8 RGB; a camera's has no end. It closes the
        source at the end and when it is closed. Behind the last frame of a file that
        ends early, or of which some were passed over, it raises IncompleteVideoError.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If the file is not a video, or the camera or stream does not open.
    """
    return (frame for frame, _ in _read(open_capture(source), source))


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

    The result has a constant rate, and each picture less than one frame off its time:
    of a source whose rate varies, frames are repeated or left out. A camera, or a
    stream without an end, is recorded until Ctrl-C (KeyboardInterrupt), which ends the
    video in order; its frames have the times at which they came, those that come while
    one is annotated are left out, and pictures are repeated until the next is there.
    On a file Ctrl-C leaves no result.

    Args:
        source: A video file, the index of a camera, or the address of a stream.
        target: The video to write, `.mp4` or `.avi`.
        annotate: Maps a frame (H, W, 3) uint8 RGB to a frame of any one size.
        progress: Called with the frames read and their total, None if unknown.

    Returns:
        Number of frames of the result.

    Raises:
        FileNotFoundError: If the source is missing.
        IncompleteVideoError: If the source ends early or some of it cannot be decoded.
            The result of what could be read is there.
        ValueError: If the source cannot be read, holds no frame, or is the target, or
            the result cannot be written.
    """
    path = _file(source)
    if path is not None and path.resolve() == Path(target).resolve():
        raise ValueError(f"Source and target are both '{target}'; name another target.")
    capture = open_capture(source)
    fps, total = frame_rate(capture, path), _told_frames(capture)
    is_live = path is None and total is None
    done, incomplete = 0, None
    with contextlib.ExitStack() as stack:
        timed = _read(capture, source)
        if is_live:
            timed = stack.enter_context(NewestFrame(_by_the_clock(timed)))
        else:
            stack.callback(timed.close)
        pictures = _on_time(timed, fps, annotate, progress, total)
        first = next(pictures, None)
        if first is None:
            raise DataError(
                f"'{shown(source)}' holds no frame that can be read.", source
            )
        with write_video(target, fps, first.shape[:2]) as write:
            try:
                for picture in itertools.chain([first], pictures):
                    write(picture)
                    done += 1
            except KeyboardInterrupt:
                if not is_live:
                    raise
            except IncompleteVideoError as error:
                incomplete = error
    if incomplete is not None:
        raise IncompleteVideoError(
            f"{incomplete} What could be read is in '{target}'.", path
        ) from incomplete
    return done


def _on_time(
    timed: Iterable[tuple[np.ndarray, float]], fps, annotate, progress, total
) -> Iterator[np.ndarray]:
    """Yield annotated frames at a constant rate."""
    line = Timeline(fps)
    picture = None
    for read, (frame, seconds) in enumerate(timed, 1):
        copies = line.copies_before(seconds)
        if copies is not None:
            yield from itertools.repeat(picture, copies)
            picture = annotate(frame)
            yield picture
        if progress is not None:
            progress(read, total)


def _by_the_clock(timed) -> Iterator[tuple[np.ndarray, float]]:
    """Give frames the time at which they come, in seconds: cameras tell none."""
    with contextlib.closing(timed):
        for frame, _ in timed:
            yield frame, time.monotonic()


def _read(capture: cv2.VideoCapture, source) -> Iterator[tuple[np.ndarray, float]]:
    """Yield the frames as RGB with their times in seconds, and close the capture."""
    path, total = _file(source), _told_frames(capture)
    patience = 0 if path is None else _PATIENCE
    read = gaps = failed = 0
    try:
        while failed <= patience:
            is_read, frame = capture.read()
            if not is_read:
                failed += 1
                continue
            gaps += failed > 0
            failed = 0
            read += 1
            seconds = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), seconds  # (H, W, 3)
    finally:
        capture.release()
    if path is not None and read:
        check_complete(path, read, total, gaps)


def _file(source) -> Path | None:
    """Return the file of a source; None for a camera or a stream."""
    return None if isinstance(source, int) or is_stream(source) else Path(source)


def _told_frames(capture) -> int | None:
    total = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    return total if total > 0 else None


def _bgr_of_even_size(frame: np.ndarray) -> np.ndarray:
    """Return a frame as the codecs take it: BGR, an odd side one pixel larger."""
    bottom, right = frame.shape[0] % 2, frame.shape[1] % 2
    bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    return cv2.copyMakeBorder(bgr, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
