"""Videos and cameras, live: the newest frame counts, the others are dropped."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator

import cv2
import numpy as np

_QUIT_KEYS = (ord("q"), 27)  # 27 is Esc
_SMOOTHING = 0.9  # share of the past in the shown frame rate
_END = object()


class NoDisplayError(ValueError):
    """Why no window can be opened, in one line."""


class NewestFrame:
    """Read a camera in a thread and keep its newest frame only.

    Iterating gives each frame at most once and waits for the next one; it ends when
    the source does.

    Args:
        source: Iterator of frames, such as `runtime.video.frames(0)`; it is closed by
            the thread that reads it.

    Example:
        >>> with NewestFrame(iter("ab")) as newest:
        ...     "b" in list(newest)
        True
    """

    def __init__(self, source: Iterable):
        self._source = iter(source)
        self._slot, self._error = None, None
        self._stopped = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self.dropped = 0

    def __enter__(self) -> "NewestFrame":
        self._thread.start()
        return self

    def __exit__(self, *_):
        with self._changed:
            self._stopped = True
            self._changed.notify()
        # A camera that hangs must not keep the program: the thread is a daemon.
        self._thread.join(timeout=2)

    def __iter__(self) -> Iterator:
        last = None
        while True:
            with self._changed:
                # With a timeout, so that Ctrl-C is heard on every system.
                while not self._changed.wait_for(lambda: self._slot is not None, 0.2):
                    pass
                last, self._slot = self._slot, None
                self._changed.notify()
            if last is _END:
                if self._error is not None:
                    raise self._error
                return
            yield last

    def _read(self) -> None:
        """Put frames into the slot until the source ends."""
        try:
            for frame in self._source:
                with self._changed:
                    self.dropped += self._slot is not None
                    self._slot = frame
                    self._changed.notify()
                if self._stopped:
                    break
        except Exception as error:
            self._error = error
        finally:
            with contextlib.suppress(Exception):
                getattr(self._source, "close", lambda: None)()
            with self._changed:
                # The last frame is still to be seen.
                self._changed.wait_for(lambda: self._slot is None or self._stopped)
                self._slot = _END
                self._changed.notify()


def run_live(
    source: Iterable[np.ndarray],
    annotate: Callable[[np.ndarray], np.ndarray],
    sink: Callable[[np.ndarray], bool | None],
    *,
    drop: bool,
) -> int:
    """Annotate frames and hand them on until the source ends or the sink has enough.

    Ctrl-C ends it in order.

    Args:
        source: Frames (H, W, 3) uint8 RGB; a generator is closed at the end.
        annotate: Maps a frame to the picture to show.
        sink: Takes a picture, with the frame rate on it; False ends the run.
        drop: Skip frames that came while the last was annotated, as for a camera.

    Returns:
        Number of pictures handed on.

    Example:
        >>> frame = np.zeros((20, 80, 3), np.uint8)
        >>> run_live([frame] * 3, lambda f: f, lambda picture: None, drop=False)
        3
    """
    done, seconds = 0, None
    with contextlib.ExitStack() as stack:
        if drop:
            source = stack.enter_context(NewestFrame(source))
        elif hasattr(source, "close"):
            stack.callback(source.close)
        with contextlib.suppress(KeyboardInterrupt):
            start = time.perf_counter()
            for frame in source:
                picture = annotate(frame)
                now = time.perf_counter()
                seconds = _smoothed(seconds, now - start)
                start = now
                done += 1
                if sink(_with_fps(picture, 1 / max(seconds, 1e-6))) is False:
                    break
    return done


@contextlib.contextmanager
def window(title: str) -> Iterator[Callable[[np.ndarray], bool]]:
    """Open a window.

    Args:
        title: Its title.

    Yields:
        A sink for `run_live`: it shows a picture (H, W, 3) uint8 RGB and returns False
        once q or Esc was pressed or the window was closed.

    Raises:
        NoDisplayError: There is no display, or OpenCV has no windows.
    """
    if not has_display():
        raise NoDisplayError("There is no display to show pictures on.")
    try:
        cv2.namedWindow(title, cv2.WINDOW_NORMAL)
    except cv2.error:
        raise NoDisplayError(
            "This OpenCV is headless and opens no windows; opencv-python does."
        ) from None

    def show(picture: np.ndarray) -> bool:
        cv2.imshow(title, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        pressed = cv2.waitKey(1) & 0xFF in _QUIT_KEYS
        return not pressed and cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) >= 1

    try:
        yield show
    finally:
        cv2.destroyWindow(title)


def has_display() -> bool:
    """Tell whether there is a display.

    OpenCV ends the process when Qt finds none, so this is asked before.
    """
    if sys.platform.startswith("linux"):
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True


def _smoothed(past: float | None, seconds: float) -> float:
    """Return a running mean."""
    if past is None:
        return seconds
    return _SMOOTHING * past + (1 - _SMOOTHING) * seconds


def _with_fps(picture: np.ndarray, fps: float) -> np.ndarray:
    """Return a copy with the frame rate at the top left, readable on any ground."""
    picture = picture.copy()
    scale = max(0.4, picture.shape[0] / 700)
    origin = round(12 * scale), round(30 * scale)
    for colour, thickness in (((0, 0, 0), 4), ((255, 255, 255), 1)):
        cv2.putText(
            picture,
            f"{fps:.1f} fps",
            origin,
            cv2.FONT_HERSHEY_SIMPLEX,
            scale,
            colour,
            max(1, round(thickness * scale)),
            cv2.LINE_AA,
        )
    return picture
