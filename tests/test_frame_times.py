"""Videos whose frames come at times of their own."""

import itertools
import time

import cv2
import numpy as np
import pytest
from video_files import SIZE, read_levels, variable_rate, write_clip

from keras_frm.runtime.frame_times import Timeline, frame_rate
from keras_frm.runtime.video import annotate_video


def places(fps, times):
    """Return the place of each frame, None of those that are left out."""
    line, free, found = Timeline(fps), 0, []
    for seconds in times:
        copies = line.copies_before(seconds)
        if copies is None:
            found.append(None)
        else:
            found.append(free + copies)
            free += copies + 1
    return found


@pytest.mark.parametrize("fps", [1, 23.976, 25, 29.97, 30, 59.94, 240, 1000])
@pytest.mark.parametrize("digits", [9, 3])
def test_constant_rates_stay_frame_for_frame(fps, digits):
    times = [round(n / fps, digits) for n in range(3000)]
    assert places(fps, times) == list(range(3000))


def test_every_time_is_less_than_one_frame_off():
    steps = np.random.default_rng(0).choice([0.001, 0.02, 0.033, 0.1, 1.5], 2000)
    times = np.cumsum(steps)
    found = places(30, times)
    assert None in found
    for seconds, place in zip(times - times[0], found, strict=True):
        assert place is None or abs(place - 30 * seconds) < 1
    shown = [place for place in found if place is not None]
    assert shown == sorted(set(shown))


def test_a_clock_that_tells_nothing_gives_the_order():
    assert places(25, [0.0] * 50) == list(range(50))
    assert places(25, [float("nan")] * 50) == list(range(50))


def test_a_clock_that_is_set_anew_goes_on():
    once = [n / 10 for n in range(50)]
    assert places(10, once + once) == list(range(100))
    assert places(10, [0, 0.1, 1e9, 1e9 + 0.1]) == [0, 1, 2, 3]


def test_a_clock_that_stumbles_is_caught_up_with():
    times = [0.0, 0.1, 0.2, 0.1, 0.3, 0.4, 0.5]
    assert places(10, times) == [0, 1, 2, 3, None, 4, 5]


def test_a_frame_of_two_seconds_is_there_at_two_seconds(tmp_path):
    steps = [0.2] * 6 + [0.8] + [0.1] * 9
    levels = [10 + 15 * n for n in range(16)]
    path = variable_rate(write_clip(tmp_path / "a.mp4", levels), steps)
    times = [0, *itertools.accumulate(steps[:-1])]
    assert times[7] == pytest.approx(2.0)
    target = tmp_path / "b.mp4"
    annotate_video(path, target, lambda frame: frame)
    rate = cv2.VideoCapture(str(target)).get(cv2.CAP_PROP_FPS)
    found = read_levels(target)
    for seconds, level in zip(times, levels, strict=True):
        near = round(seconds * rate)
        assert min(abs(x - level) for x in found[max(0, near - 1) : near + 2]) < 8
    assert len(found) == pytest.approx(rate * times[-1], abs=2)


def test_constant_rate_files_have_the_count_they_had(tmp_path):
    for name, codec, fps in (("a.mkv", "MJPG", 29.97), ("a.mp4", "mp4v", 23.976)):
        path = write_clip(tmp_path / name, range(0, 200, 5), fps, codec)
        assert annotate_video(path, tmp_path / "b.mp4", lambda frame: frame) == 40
        rate = cv2.VideoCapture(str(tmp_path / "b.mp4")).get(cv2.CAP_PROP_FPS)
        assert rate == pytest.approx(fps, abs=0.01)


class Told:
    """An open video that tells a rate."""

    def __init__(self, fps):
        self.fps = fps

    def get(self, _):
        return self.fps


@pytest.mark.parametrize(
    ("told", "expected"),
    [(10, 10), (10.01, 10.01), (1000, 10), (4.2, 10), (0, 10), (60, 60)],
)
def test_rates_that_containers_tell(tmp_path, told, expected):
    path = write_clip(tmp_path / "a.mp4", range(20), fps=10)
    assert frame_rate(Told(told), path) == pytest.approx(expected, abs=0.001)


@pytest.mark.parametrize(("told", "expected"), [(30, 30), (0, 25), (-1, 25), (9e4, 25)])
def test_rates_of_cameras(told, expected):
    assert frame_rate(Told(told)) == expected


class Camera:
    """A camera of 50 frames per second, each brighter, which ends after half a second.

    As cameras do, it tells no times.
    """

    def __init__(self, *_):
        self.start = time.monotonic()

    def isOpened(self):  # noqa: N802
        return True

    def get(self, prop):
        return {cv2.CAP_PROP_FPS: 50.0}.get(prop, -1.0)

    def read(self):
        time.sleep(0.02)
        seconds = time.monotonic() - self.start
        if seconds > 0.5:
            return False, None
        return True, np.full((*SIZE, 3), int(400 * seconds), np.uint8)

    def release(self):
        pass


def test_a_camera_is_recorded_in_its_own_time(tmp_path, monkeypatch):
    seen = []

    def slow(frame):
        time.sleep(0.1)
        seen.append(frame)
        return frame

    with monkeypatch.context() as patch:
        patch.setattr(cv2, "VideoCapture", Camera)
        count = annotate_video(0, tmp_path / "a.mp4", slow)
    assert len(seen) < 8
    levels = read_levels(tmp_path / "a.mp4")
    assert len(levels) == count
    assert count == pytest.approx(0.48 * 50, abs=4)
    # What is bright after a time is there at that time.
    for place in (0, count // 2, count - 1):
        assert 400 * place / 50 - levels[place] < 70
