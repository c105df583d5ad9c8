import threading
import time

import numpy as np
import pytest

from keras_frm.runtime import live
from keras_frm.runtime.live import NewestFrame, NoDisplayError, run_live
from keras_frm.runtime.video import frames, write_video

pytestmark = pytest.mark.filterwarnings(
    "error::pytest.PytestUnhandledThreadExceptionWarning"
)


def picture(level=0, size=(40, 120)):
    return np.full((*size, 3), level, np.uint8)


def unchanged(frame):
    return frame


class Camera:
    """Gives numbered pictures at a rate, and notes when it was closed."""

    def __init__(self, count, seconds=0.002, error=None):
        self.count, self.seconds, self.error = count, seconds, error
        self.closed = threading.Event()

    def __iter__(self):
        try:
            for number in range(self.count):
                time.sleep(self.seconds)
                yield picture(number)
            if self.error is not None:
                raise self.error
        finally:
            self.closed.set()


def test_files_are_shown_frame_by_frame(tmp_path):
    path = tmp_path / "clip.avi"
    with write_video(path, fps=10, size=(48, 64)) as write:
        for level in (10, 90, 170, 250):
            write(picture(level, (48, 64)))
    shown = []
    assert run_live(frames(path), unchanged, shown.append, drop=False) == 4
    corners = [frame[-1, -1, 0] for frame in shown]
    np.testing.assert_allclose(corners, (10, 90, 170, 250), atol=12)


def test_slow_network_drops_frames_of_a_camera():
    camera, shown = Camera(60), []

    def slow(frame):
        time.sleep(0.02)
        return frame

    count = run_live(camera, slow, shown.append, drop=True)
    numbers = [frame[-1, -1, 0] for frame in shown]
    assert count == len(shown) < 30
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == 59
    assert camera.closed.is_set()


def test_fast_network_sees_every_frame_of_a_camera():
    with NewestFrame(Camera(20, 0.01)) as newest:
        numbers = [frame[0, 0, 0] for frame in newest]
    assert len(numbers) + newest.dropped == 20
    assert len(numbers) >= 15


def test_one_frame_is_kept():
    with NewestFrame(Camera(50, 0)) as newest:
        time.sleep(0.1)
        assert newest.dropped == 49
        assert [frame[0, 0, 0] for frame in newest] == [49]


def test_frame_rate_is_on_the_picture_and_not_on_the_frame():
    frame, shown = picture(), []
    run_live([frame], unchanged, shown.append, drop=False)
    assert shown[0].shape == frame.shape
    assert shown[0].max() > 200
    assert frame.max() == 0


@pytest.mark.parametrize("drop", [True, False])
def test_sink_ends_the_run(drop):
    camera, shown = Camera(1000), []

    def sink(frame):
        shown.append(frame)
        return len(shown) < 3

    assert run_live(iter(camera), unchanged, sink, drop=drop) == 3
    assert camera.closed.wait(2)


@pytest.mark.parametrize("drop", [True, False])
def test_ctrl_c_ends_the_run(drop):
    camera = Camera(1000)

    def interrupted(frame):
        raise KeyboardInterrupt

    assert run_live(iter(camera), unchanged, interrupted, drop=drop) == 1
    assert camera.closed.wait(2)


def test_unplugged_camera_ends_the_run():
    shown = []
    assert run_live(Camera(1), unchanged, shown.append, drop=True) == 1
    assert run_live(Camera(0), unchanged, shown.append, drop=True) == 0


def test_errors_of_the_camera_arrive():
    camera = Camera(2, error=ValueError("the camera is gone"))
    with pytest.raises(ValueError, match="the camera is gone"):
        run_live(camera, unchanged, lambda frame: None, drop=True)


def test_errors_of_the_network_close_the_camera():
    camera = Camera(1000)

    def broken(frame):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_live(camera, broken, lambda frame: None, drop=True)
    assert camera.closed.wait(2)


def test_no_display(monkeypatch):
    monkeypatch.setattr(live.sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(NoDisplayError, match="no display"), live.window("title"):
        pass


def test_headless_opencv(monkeypatch):
    def missing(*_):
        raise live.cv2.error("The function is not implemented")

    monkeypatch.setattr(live, "has_display", lambda: True)
    monkeypatch.setattr(live.cv2, "namedWindow", missing)
    with pytest.raises(NoDisplayError, match="headless"), live.window("title"):
        pass


@pytest.mark.parametrize(
    ("key", "goes_on"), [(ord("q"), False), (27, False), (-1, True)]
)
def test_window(monkeypatch, key, goes_on):
    shown = []
    fakes = {
        "namedWindow": lambda *_: None,
        "imshow": lambda title, frame: shown.append(frame),
        "waitKey": lambda _: key,
        "getWindowProperty": lambda *_: 1,
        "destroyWindow": lambda _: shown.append("closed"),
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(live.cv2, name, fake)
    monkeypatch.setattr(live, "has_display", lambda: True)
    with live.window("title") as show:
        assert show(np.uint8([[[1, 2, 3]]])) is goes_on
    assert shown[0].tolist() == [[[3, 2, 1]]]
    assert shown[1] == "closed"
