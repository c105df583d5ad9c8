import time

import cv2
import numpy as np
import pytest

from keras_frm.runtime.video import annotate_video, frames, write_video


def grey(level, size=(48, 64)):
    return np.full((*size, 3), level, np.uint8)


@pytest.fixture(params=[".mp4", ".avi"])
def clip(request, tmp_path):
    """Four frames: dark, red, green, bright."""
    path = tmp_path / f"clip{request.param}"
    with write_video(path, fps=10, size=(48, 64)) as write:
        for colour in ((20, 20, 20), (230, 20, 20), (20, 230, 20), (230, 230, 230)):
            write(np.broadcast_to(np.uint8(colour), (48, 64, 3)))
    return path


def test_written_frames_are_read_back_as_rgb(clip):
    colours = [frame.mean(axis=(0, 1)) for frame in frames(clip)]
    expected = [(20, 20, 20), (230, 20, 20), (20, 230, 20), (230, 230, 230)]
    np.testing.assert_allclose(colours, expected, atol=12)


def test_frames_are_uint8_images(clip):
    frame = next(frames(str(clip)))
    assert frame.shape == (48, 64, 3)
    assert frame.dtype == np.uint8


def test_odd_sizes_lose_nothing(tmp_path):
    path = tmp_path / "odd.mp4"
    with write_video(path, fps=10, size=(49, 65)) as write:
        write(grey(100, (49, 65)))
    assert next(frames(path)).shape == (50, 66, 3)


def test_missing_file_before_the_first_frame(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no video file .*missing\.mp4"):
        frames(tmp_path / "missing.mp4")


@pytest.mark.parametrize("content", [b"", b"not a video" * 100], ids=["empty", "text"])
def test_file_that_is_not_a_video(tmp_path, content):
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.mp4' is not a video"):
        frames(path)


def test_folder_is_not_a_video(tmp_path):
    with pytest.raises(FileNotFoundError):
        frames(tmp_path)


def test_camera_that_is_not_there():
    with pytest.raises(ValueError, match="Camera 987 does not open"):
        frames(987)


def test_failed_block_leaves_nothing(tmp_path):
    def fail():
        with write_video(tmp_path / "a.mp4", fps=10, size=(48, 64)) as write:
            write(grey(0))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_old_file_stays_until_the_new_one_is_complete(clip):
    before = clip.read_bytes()
    with write_video(clip, fps=10, size=(48, 64)) as write:
        write(grey(0))
        assert clip.read_bytes() == before
    assert clip.read_bytes() != before
    assert [path.name for path in clip.parent.iterdir()] == [clip.name]


@pytest.mark.parametrize(
    "frame",
    [grey(0, (48, 65)), grey(0)[..., 0], grey(0) / 255],
    ids=["size", "2d", "f"],
)
def test_frames_that_do_not_fit(tmp_path, frame):
    def write_wrong():
        with write_video(tmp_path / "a.mp4", fps=10, size=(48, 64)) as write:
            write(frame)

    with pytest.raises(ValueError, match="all frames must be uint8"):
        write_wrong()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "fps", "size", "message"),
    [
        ("a.gif", 10, (48, 64), r"must end in \.mp4 or \.avi"),
        ("a", 10, (48, 64), "must end in"),
        ("a.mp4", 0, (48, 64), "cannot write"),
        ("a.mp4", float("nan"), (48, 64), "cannot write"),
        ("a.mp4", 10, (0, 64), "cannot write"),
        ("a.mp4", 10, (48, 64), "No frame"),
    ],
)
def test_videos_that_cannot_be_written(tmp_path, name, fps, size, message):
    def write_nothing():
        with write_video(tmp_path / name, fps, size):
            pass

    with pytest.raises(ValueError, match=message):
        write_nothing()
    assert list(tmp_path.iterdir()) == []


def test_annotate_changes_every_frame(clip, tmp_path):
    calls = []

    def annotate(frame):  # inverted, and larger at the right
        return np.concatenate([255 - frame, grey(128, (48, 32))], axis=1)

    target = tmp_path / "new" / "annotated.mp4"
    done = annotate_video(clip, target, annotate, lambda *call: calls.append(call))
    assert done == 4
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    pictures = list(frames(target))
    assert [picture.shape for picture in pictures] == [(48, 96, 3)] * 4
    levels = [picture[8:-8, 8:56].mean(axis=(0, 1)) for picture in pictures]
    expected = [(235, 235, 235), (25, 235, 235), (235, 25, 235), (25, 25, 25)]
    np.testing.assert_allclose(levels, expected, atol=15)


def test_annotate_keeps_the_frame_rate(clip, tmp_path):
    annotate_video(clip, tmp_path / "out.mp4", lambda frame: frame)
    assert cv2.VideoCapture(str(tmp_path / "out.mp4")).get(cv2.CAP_PROP_FPS) == 10


def test_annotate_that_fails_leaves_no_target(clip, tmp_path):
    pictures = iter([grey(1), grey(2, (40, 40))])
    with pytest.raises(ValueError, match="Frame 1 of"):
        annotate_video(clip, tmp_path / "out.mp4", lambda frame: next(pictures))
    assert [path.name for path in tmp_path.iterdir()] == [clip.name]


def test_annotate_refuses_to_write_over_its_source(clip):
    before = clip.read_bytes()
    with pytest.raises(ValueError, match="Source and target"):
        annotate_video(clip, clip.parent / "." / clip.name, lambda frame: frame)
    assert clip.read_bytes() == before


@pytest.fixture
def interrupted():
    """Annotates two frames; the third is interrupted by Ctrl-C."""
    calls = iter([None, None])

    def annotate(frame):
        try:
            next(calls)
        except StopIteration:
            raise KeyboardInterrupt from None
        return frame

    return annotate


def test_interrupt_leaves_no_part_of_a_file(clip, tmp_path, interrupted):
    with pytest.raises(KeyboardInterrupt):
        annotate_video(clip, tmp_path / "out.mp4", interrupted)
    assert [path.name for path in tmp_path.iterdir()] == [clip.name]


class Camera:
    """A clip that comes slowly and tells no count."""

    def __init__(self, clip):
        self.opened = cv2.VideoCapture(str(clip))

    def read(self):
        time.sleep(0.02)
        return self.opened.read()

    def get(self, prop):
        return -1.0 if prop == cv2.CAP_PROP_FRAME_COUNT else self.opened.get(prop)

    def __getattr__(self, name):
        return getattr(self.opened, name)


def test_interrupt_ends_the_video_of_a_camera(clip, tmp_path, monkeypatch, interrupted):
    camera = Camera(clip)
    monkeypatch.setattr(cv2, "VideoCapture", lambda index: camera)
    count = annotate_video(0, tmp_path / "out.mp4", interrupted)
    monkeypatch.undo()
    assert count >= 2
    assert len(list(frames(tmp_path / "out.mp4"))) == count
