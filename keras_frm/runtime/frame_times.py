"""When the frames of a video are shown: a rate for all, and each frame's place."""

from itertools import pairwise
from pathlib import Path
from statistics import median

import cv2

# For sources that do not tell their frame rate, as many cameras do not.
_DEFAULT_FPS = 25.0

# Recorders that have no rate write the clock's: 1000 frames per second in WebM.
_FASTEST_USUAL_FPS = 120

# Frames that a rate is measured on, and what a container rounds their times to.
_MEASURED = 60
_ROUNDING = 0.001  # seconds

# A clock that jumps by more was set anew; it is no picture that stands.
_LONGEST_STILL = 600.0  # seconds
_LONGEST_WAY_BACK = 1.0  # seconds


class Timeline:
    """Place frames that have times on a line of equal steps.

    A frame that comes one place or more too early for the line is left out, and one
    that comes one or more too late stands after copies of the frame before it. So each
    is less than one place off its time, and frames of a constant rate stay as they are
    though their times are rounded. A clock that stands still gives frames their order;
    one that goes back by more than a second, or ahead by more than ten minutes, was set
    anew and goes on from there.

    Args:
        fps: Places per second.

    Example:
    >>> line = Timeline(fps=10)
    >>> [line.copies_before(seconds) for seconds in (0, 0.1, 0.4, 0.41, 0.42, 0.6)]
    [0, 0, 2, 0, None, 0]
    """

    def __init__(self, fps: float):
        self._fps = fps
        self._next = 0  # the first free place
        self._place = -1.0  # of the last frame, left out or not
        self._latest = self._offset = None

    def copies_before(self, seconds: float) -> int | None:
        """Take the next frame.

        Args:
            seconds: Its time.

        Returns:
            How many copies of the frame before stand before it; None to leave it out.
        """
        self._place = self._find(seconds)
        ahead = self._place - self._next
        if ahead <= -1:
            return None
        copies = round(ahead) if ahead >= 1 else 0
        self._next += copies + 1
        return copies

    def _find(self, seconds):
        """Return the place that a time says, of which the first frame's is 0."""
        one_on = self._place + 1
        step = 0.0 if self._latest is None else seconds - self._latest
        if self._latest is None or not -_LONGEST_WAY_BACK <= step <= _LONGEST_STILL:
            self._offset = one_on - seconds * self._fps
        elif step <= 0:
            return one_on
        self._latest = seconds
        return seconds * self._fps + self._offset


def frame_rate(capture: cv2.VideoCapture, path: Path | None = None) -> float:
    """Return the rate to write an open video with, in frames per second.

    That is the rate its container tells, as far as its first frames agree: of a
    variable rate some containers tell the mean, and some none but a clock's.

    Args:
        capture: The video, of which no frame is read.
        path: Its file, which is opened once more; None for cameras and streams.
    """
    told = capture.get(cv2.CAP_PROP_FPS)
    told = told if 1 <= told <= 1000 else None
    step = None if path is None else _first_step(path)
    if step is None:
        return told or _DEFAULT_FPS
    measured = min(max(1 / step, 1.0), 1000.0)
    if told is None:
        return measured
    if abs(1 / told - step) <= _ROUNDING or measured < told <= _FASTEST_USUAL_FPS:
        return told
    return measured


def _first_step(path):
    """Return the median seconds between a file's first frames, None without times."""
    capture = cv2.VideoCapture(str(path))
    times = []
    while len(times) < _MEASURED and capture.grab():
        times.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    capture.release()
    steps = [after - before for before, after in pairwise(times)]
    step = median(steps) if steps else 0.0
    return step if step > 0 else None
