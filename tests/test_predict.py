"""`keras-frm predict`: what is read, what is written, and what is said of the rest."""

import shutil

import cv2
import numpy as np
import pytest
from data_files import write_image
from PIL import Image
from test_cli import keras_frm
from test_segmenter import about
from tflite_files import colour_mask
from tiny import toy_model
from video_files import cut, noisy_clip

from keras_frm.files import write_png
from keras_frm.labels import CAMVID
from keras_frm.runtime.tflite.metadata_zip import attach
from keras_frm.training.run_folder import BEST, load_trained, new_run

SIZE = (32, 48)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """The folder of a training."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    with new_run(folder, {"command": "train"}, CAMVID):
        toy_model(CAMVID.num_classes).network.save(folder / BEST)
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in, with model.tflite."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.tflite").write_bytes(attach(colour_mask(), about("mask")))
    return tmp_path


def picture(path, level=100):
    return write_image(path, SIZE, np.full((*SIZE, 3), level, np.uint8))


def predict(*arguments):
    return keras_frm("predict", *arguments)


def written(folder):
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()
    )


# === Models and their files ===


def test_a_folder_with_masks(run_folder, tmp_path):
    rng = np.random.default_rng(0)
    for n in range(4):
        write_png(tmp_path / f"in/{n}.png", rng.integers(0, 256, (36, 48, 3), np.uint8))
    out = tmp_path / "out"
    done = predict(run_folder, tmp_path / "in", "--out", out, "--masks")
    assert done.code == 0, done.err
    assert len(list(out.glob("*_overlay.png"))) == 4
    network, _ = load_trained(run_folder)
    image = np.array(Image.open(tmp_path / "in/2.png"))
    expected = np.argmax(network(image[None])[0], -1)
    mask = np.array(Image.open(out / "2_mask.png"))
    assert (mask == expected).mean() > 0.999
    with Image.open(out / "2_overlay.png") as overlay:
        assert overlay.width >= 48
        assert overlay.height >= 36


def test_one_image_at_another_size(run_folder, tmp_path):
    image = picture(tmp_path / "0.png")
    options = ("--resize", 16, 64, "--masks")
    done = predict(run_folder, image, "--out", tmp_path / "out", *options)
    assert done.code == 0, done.err
    assert written(tmp_path / "out") == ["0_mask.png", "0_overlay.png"]
    with Image.open(tmp_path / "out/0_mask.png") as mask:
        assert mask.size == SIZE[::-1]


def test_the_model_stands_anywhere(here, run_folder):
    picture(here / "a.png")
    for arguments in (
        ("a.png", "model.tflite"),
        ("--model", "model.tflite", "a.png"),
        ("a.png", run_folder),
        ("a.png", run_folder / BEST),
    ):
        shutil.rmtree(here / "predictions", ignore_errors=True)
        done = predict(*arguments)
        assert done.code == 0, done.err
        assert written(here / "predictions") == ["a_overlay.png"]


def test_with_model_a_run_folder_is_a_folder(here, run_folder):
    run = shutil.copytree(run_folder, here / "run")
    picture(run / "a.png")
    assert predict("run", "--model", "model.tflite").code == 0
    line = predict("model.tflite", "run").only_line
    assert "2 models are given: model.tflite, run" in line


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((), "No model is given"),
        (("a.png",), "No model is given"),
        (("pictures", "a.png"), "pictures is no run folder"),
        (("runs/mien", "a.png"), "there is nothing at runs/mien"),
        (("model.tflite",), "Nothing to segment is given beside the model model.tfl"),
        (("--model", "model.tflite"), "Nothing to segment"),
        (("model.tflite", "other.tflite", "a.png"), "2 models are given"),
        (("model.tflite", "a.png", "--model", "b.keras"), "2 models are given"),
        (("gone.tflite", "a.png"), "There is no model file"),
        (("model.tflite", "gone.png", "x/y"), "no image, folder or video at gone.png"),
        (("model.tflite", "a.png", "empty"), "empty holds no image and no video"),
        (("model.tflite", "pictures/*.jpg"), "matches 'pictures/*.jpg'"),
        (("model.tflite", "camera:x"), "camera:1"),
        (("model.tflite", "12345"), "'12345' names no camera"),
        (("model.tflite", "ftp://host/a"), "ftp://host/a is no stream"),
    ],
    ids=str,
)
@pytest.mark.usefixtures("no_weights")
def test_a_mistake_is_one_line(here, arguments, match):
    picture(here / "a.png")
    picture(here / "pictures/b.png")
    (here / "empty").mkdir()
    assert match in predict(*arguments).only_line
    assert not (here / "predictions").exists()


def test_missing_sources_are_found_before_the_model_is_loaded(here, monkeypatch):
    def loaded(*_, **__):
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("keras_frm.runtime.segmenter.Segmenter", loaded)
    picture(here / "a.png")
    line = predict("model.tflite", "a.png", "b.png", "c.png").only_line
    assert line.endswith("at b.png, c.png.")


def test_files_of_a_run_that_are_wrong(run_folder, tmp_path):
    good = picture(tmp_path / "good.png")
    out = ("--out", tmp_path / "out")
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 50)
    assert str(broken) in predict(run_folder, broken, *out).line
    video = tmp_path / "broken.mp4"
    video.write_bytes(b"no video")
    assert str(video) in predict(run_folder, video, *out).line
    alone = tmp_path / "alone.keras"
    shutil.copy(run_folder / BEST, alone)
    line = predict(alone, good, "--preset", "cityscapes", *out).line
    assert "11 classes" in line
    assert not (tmp_path / "out").exists()


# === Many sources ===


def test_folders_patterns_and_files_together(here):
    for name in ("day/a.png", "day/late/b.jpg", "c.png", "p/d.png", "p/.e.png"):
        picture(here / name)
    (here / "p/notes.txt").write_text("no picture")
    noisy_clip(here / "day/drive.avi", 3, "MJPG")
    done = predict("model.tflite", "day", "c.png", "p/*", "./c.png", "day/a.png")
    assert done.code == 0, done.err
    assert "4 overlays" in done.out
    assert written(here / "predictions") == [
        "a_overlay.png",
        "c_overlay.png",
        "d_overlay.png",
        "drive_overlay.mp4",
        "late/b_overlay.png",
    ]


def test_results_of_one_name_are_kept_apart(here):
    for name in ("x/a.png", "y/a.png", "z/a.jpg", "z/a.png", "z/b.png"):
        picture(here / name)
    arguments = ("x/a.png", "y/a.png", "z", "--masks")
    expected = ["b", "x/a", "y/a", "z/a.jpg", "z/a.png"]
    for order in (arguments, arguments[::-1]):
        done = predict("model.tflite", *order)
        assert done.code == 0, done.err
        overlays = [n for n in written(here / "predictions") if "_overlay" in n]
        assert overlays == [f"{name}_overlay.png" for name in expected]
    assert len(written(here / "predictions")) == 10


def test_two_endings_in_one_folder(here):
    for name in ("in/b/a.jpg", "in/b/a.png", "in/c.png"):
        picture(here / name)
    assert predict("model.tflite", "in").code == 0
    assert written(here / "predictions") == [
        "b/a.jpg_overlay.png",
        "b/a.png_overlay.png",
        "c_overlay.png",
    ]


@pytest.mark.parametrize("out", ["in/predictions", "in", "in/a/b"])
@pytest.mark.parametrize("source", ["in", "in/**/*.*", "in/*.png"])
def test_earlier_results_are_no_sources(here, out, source):
    picture(here / "in/a.png")
    arguments = ("model.tflite", source, "--out", out, "--masks")
    assert predict(*arguments).code == 0
    before = written(here)
    assert len(before) == 4
    again = predict(*arguments)
    assert again.code == 0, again.err
    assert written(here) == before
    assert "1 overlays" in again.out


def test_no_source_is_overwritten(here):
    image = picture(here / "in/a.png")
    label = picture(here / "in/a_mask.png", 3)  # drawn by hand
    kept = label.read_bytes()
    line = predict("model.tflite", "in", "--out", "in", "--masks").only_line
    assert "would overwrite in/a_mask.png" in line
    assert label.read_bytes() == kept
    assert predict("model.tflite", image, "--out", "in").code == 0
    assert label.read_bytes() == kept


def test_only_earlier_results(here):
    picture(here / "in/a_overlay.png")
    done = predict("model.tflite", "in", "--out", "in")
    assert "only results of an earlier run in in" in done.line


def test_it_goes_on_past_what_cannot_be_read(here):
    for name in ("a.png", "c.png"):
        picture(here / "photos" / name)
    (here / "photos/b.png").write_bytes(b"")
    (here / "photos/._a.png").write_bytes(b"Mac OS X")  # of a system, not a camera
    done = predict("model.tflite", "photos")
    assert done.code == 1
    assert written(here / "predictions") == ["a_overlay.png", "c_overlay.png"]
    assert "2 overlays are in" in done.out
    assert "photos/b.png" in done.err
    assert "1 of 3 images could not be read" in done.err


def test_it_goes_on_past_a_video_that_is_cut(here):
    picture(here / "a.png")
    cut(noisy_clip(here / "b.avi", 20, "MJPG"))
    noisy_clip(here / "c.avi", 4, "MJPG")
    (here / "d.avi").write_bytes(b"")
    done = predict("model.tflite", "a.png", "b.avi", "c.avi", "d.avi")
    assert done.code == 1
    assert "of 20 frames: the video ends early" in done.err
    assert "'d.avi' is not a video" in done.err
    assert done.err.strip().endswith("2 of 4 sources are not whole")
    assert "4 frames are in predictions/c_overlay.mp4" in done.out
    assert len(written(here / "predictions")) == 3


# === Videos, cameras, streams ===


def test_a_video(run_folder, tmp_path):
    video = noisy_clip(tmp_path / "drive.avi", 5, "MJPG")
    done = predict(run_folder, video, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert "5 frames" in done.out
    (target,) = (tmp_path / "out").iterdir()
    assert target.name == "drive_overlay.mp4"
    capture = cv2.VideoCapture(str(target))
    assert int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == 5


def test_a_video_that_is_cut(here):
    cut(noisy_clip(here / "a.avi", 20, "MJPG"))
    done = predict("model.tflite", "a.avi")
    assert "of 20 frames: the video ends early" in done.line
    assert "What could be read is in 'predictions/a_overlay.mp4'" in done.line
    assert written(here / "predictions") == ["a_overlay.mp4"]


@pytest.fixture
def opened(monkeypatch):
    """The names that are opened as live sources, none of which is shown."""
    names = []

    def record(source, target, *_, **__):
        names.append(source)
        target.parent.mkdir(exist_ok=True)
        target.touch()
        return 1

    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("keras_frm.runtime.video.annotate_video", record)
    return names


def test_cameras_and_streams(here, opened):
    secret = "rtsp://me:s3cret@10.0.0.2:554/live/1?token=s3cret"
    done = predict("model.tflite", "0", "camera:2", secret)
    assert done.code == 0, done.err
    assert opened == [0, 2, secret]
    assert "s3cret" not in done.out + done.err
    assert written(here / "predictions") == [
        "10.0.0.2_554_live_1_overlay.mp4",
        "camera_0_overlay.mp4",
        "camera_2_overlay.mp4",
    ]


def test_a_file_named_like_a_camera_is_a_file(here, opened):
    shutil.copy(picture(here / "a.png"), here / "0")
    assert predict("model.tflite", "0").code == 0
    assert opened == []


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://me:s3cret@127.0.0.1:9/live",
        "http://me:s3cret@127.0.0.1:9/a.mp4?key=s3cret",
        "rtsp://me:s3cret/x@127.0.0.1:9/live",
        "rtsp:/me:s3cret@127.0.0.1:9/live",
    ],
)
def test_a_stream_that_does_not_open_is_named_without_its_password(
    here, address, capfd
):
    line = predict("model.tflite", address).line
    assert "127.0.0.1:9" in line
    assert ("does not open" in line) == ("://" in address)
    assert "s3cret" not in line + "".join(capfd.readouterr())
