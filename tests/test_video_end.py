"""Videos that end early are told from those whose container counts wrongly."""

import cv2
import pytest
from video_files import (
    blank_end,
    cut,
    hide_first,
    index_in_front,
    noisy_clip,
    read_levels,
)

from keras_frm.runtime.video import annotate_video, frames
from keras_frm.runtime.video_end import IncompleteVideoError, check_complete

CONTAINERS = [("mp4", "mp4v"), ("avi", "MJPG"), ("mkv", "mp4v"), ("webm", "VP80")]
BROKEN = [case for case in CONTAINERS if case[0] != "mp4"]


def unchanged(frame):
    return frame


@pytest.mark.parametrize(("ending", "codec"), CONTAINERS)
def test_whole_files_are_whole(tmp_path, ending, codec):
    path = noisy_clip(tmp_path / f"a.{ending}", 12, codec)
    assert len(list(frames(path))) == 12
    index = index_in_front(path) if ending == "mp4" else path
    assert len(list(frames(index))) == 12


@pytest.mark.parametrize("spoil", [cut, blank_end])
@pytest.mark.parametrize(("ending", "codec"), CONTAINERS)
def test_half_a_file_is_said_and_what_was_read_is_kept(tmp_path, ending, codec, spoil):
    path, target = noisy_clip(tmp_path / f"a.{ending}", 40, codec), tmp_path / "b.mp4"
    if ending == "mp4":
        index_in_front(path)
    spoil(path)
    counted = rf"a\.{ending}': \d+ of (about )?40 frames: the video ends early"
    with pytest.raises(IncompleteVideoError, match=counted) as caught:
        annotate_video(path, target, unchanged)
    assert "What could be read is in" in str(caught.value)
    written = len(read_levels(target))
    assert 5 < written < 30
    assert f"': {written} of" in str(caught.value)


def test_frames_are_given_before_the_end_is_said(tmp_path):
    stream = frames(cut(noisy_clip(tmp_path / "a.avi", 20, "MJPG")))
    for _ in range(5):
        next(stream)
    with pytest.raises(IncompleteVideoError, match="of 20 frames"):
        list(stream)


def test_index_at_the_end_that_is_cut_off(tmp_path):
    path = cut(noisy_clip(tmp_path / "a.mp4"))
    with pytest.raises(ValueError, match="not a video that OpenCV can read"):
        annotate_video(path, tmp_path / "b.mp4", unchanged)
    assert not (tmp_path / "b.mp4").exists()


def test_frames_that_an_edit_list_hides_are_not_missed(tmp_path):
    path = hide_first(noisy_clip(tmp_path / "a.mp4", 40), 0.8)
    count = annotate_video(path, tmp_path / "b.mp4", unchanged)
    assert count == 32
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FRAME_COUNT) == 40


@pytest.mark.parametrize(("ending", "codec"), BROKEN)
@pytest.mark.parametrize("total", [13, 900, None])
def test_a_count_that_is_wrong_is_no_end(tmp_path, ending, codec, total):
    path = noisy_clip(tmp_path / f"a.{ending}", 12, codec)
    check_complete(path, 12, total, gaps=0)  # sound that is longer, live recordings


class Gapped:
    """A file of which two reads in the middle fail."""

    def __init__(self, path):
        self.capture, self.reads = cv2.VideoCapture(path), 0

    def read(self):
        self.reads += 1
        is_read, frame = self.capture.read()
        return (False, None) if self.reads in (5, 6) else (is_read, frame)

    def __getattr__(self, name):
        return getattr(self.capture, name)


def test_a_frame_that_cannot_be_decoded_is_passed_over(tmp_path, monkeypatch):
    path = noisy_clip(tmp_path / "a.avi", 12, "MJPG")
    monkeypatch.setattr(
        "keras_frm.runtime.video.open_capture", lambda source: Gapped(str(source))
    )
    message = "10 of 12 frames: the others cannot be decoded"
    with pytest.raises(IncompleteVideoError, match=message):
        annotate_video(path, tmp_path / "b.mp4", unchanged)
    monkeypatch.undo()
    assert len(read_levels(tmp_path / "b.mp4")) == 12  # two stand for those


@pytest.mark.parametrize(
    "content",
    [
        b"RIFF\xff\xff\xff\xffAVI ",
        b"RIFF\0\0\0\0AVI ",
        b"RIFF",
        b"\x1a\x45\xdf\xa3",
        b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff",
        b"\x1a\x45\xdf\xa3\x00",
        b"\0\0\0\x08ftyp\0\0\0\0mdat",
        b"\0\0\0\x01mdat\0\0",
        b"x",
    ],
    ids=str,
)
def test_sizes_that_are_unknown_say_nothing(tmp_path, content):
    path = tmp_path / "a.bin"
    path.write_bytes(content)
    check_complete(path, 3, None, gaps=0)


def test_many_boxes_are_not_read_for_ever(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"\0\0\0\x08free" * 300_000)
    check_complete(path, 3, None, gaps=0)
