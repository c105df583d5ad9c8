import os
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from tflite_files import (
    SIZE,
    colour_logits,
    colour_mask,
    convert,
    float_logits,
    int8_logits,
    uint8_mask,
)

import keras_frm
from keras_frm.files import write_png
from keras_frm.images import resize_image, resize_scores
from keras_frm.labels import LabelSet
from keras_frm.runtime.backends import litert as interpreter
from keras_frm.runtime.draw import overlay
from keras_frm.runtime.errors import ModelFileError
from keras_frm.runtime.file_metadata import FileMetadata
from keras_frm.runtime.segmenter import Segmenter
from keras_frm.runtime.tflite.metadata_zip import attach
from keras_frm.runtime.video import write_video

ROOT = Path(__file__).parents[1]

LABELS = LabelSet(
    "own", ("red", "green", "blue"), ((255, 0, 0), (0, 255, 0), (0, 0, 255))
)


def about(output="logits", **changes):
    settings = {
        "labels": LABELS,
        "output": output,
        "output_stride": 4,
        "precision": "float32",
        "input_size": SIZE,
        "version": "0.1.0",
    }
    return FileMetadata(**{**settings, **changes})


@pytest.fixture
def segmenter_of(tmp_path):
    def make(content, **kwargs):
        path = tmp_path / "model.tflite"
        path.write_bytes(content)
        return Segmenter(path, **kwargs)

    return make


def colours(size=SIZE):
    """Return a picture, red at the left, then green, then blue, and its mask."""
    mask = np.zeros(size, np.uint8)
    mask[:, size[1] // 3 :] = 1
    mask[:, 2 * (size[1] // 3) :] = 2
    return np.eye(3, dtype=np.uint8)[mask] * 200, mask


def noise(size=SIZE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def run_alone(content, image):
    """Return what the interpreter's plain kernels give for a batch of one."""
    other = Interpreter(
        model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    other.allocate_tensors()
    details = other.get_input_details()[0]
    other.set_tensor(details["index"], image[None].astype(details["dtype"]))
    other.invoke()
    return other.get_tensor(other.get_output_details()[0]["index"])


# === Masks ===


@pytest.mark.parametrize("size", [SIZE, (64, 96), (7, 9), (333, 501), (40, 30), (1, 1)])
@pytest.mark.parametrize("make", [colour_logits, colour_mask])
def test_mask_has_the_size_and_the_classes_of_the_image(make, size, segmenter_of):
    image, expected = colours(size)
    mask = segmenter_of(make())(image)
    assert mask.shape == size
    assert mask.dtype == np.uint8
    if min(size) > 4:
        assert (mask == expected).mean() > 0.85


def test_bgr(segmenter_of):
    image, expected = colours()
    segmenter = segmenter_of(colour_mask())
    np.testing.assert_array_equal(segmenter(image[..., ::-1], order="BGR"), expected)
    np.testing.assert_array_equal(segmenter(image[..., ::-1]), 2 - expected)


def test_same_as_the_interpreter_alone(segmenter_of):
    image = noise()
    mask = segmenter_of(uint8_mask())(image)
    assert (mask == run_alone(uint8_mask(), image)[0]).mean() > 0.999
    assert len(np.unique(mask)) > 1


def test_logits_are_resized_before_the_choice(segmenter_of):
    logits = run_alone(float_logits(), noise())[0]
    larger = cv2.resize(logits, SIZE[::-1], interpolation=cv2.INTER_LINEAR)
    mask = segmenter_of(float_logits())(noise())
    assert (mask == larger.argmax(-1)).mean() > 0.999
    nearest = cv2.resize(
        logits.argmax(-1).astype(np.uint8), SIZE[::-1], interpolation=0
    )
    assert (mask == nearest).mean() < 0.999


@pytest.mark.parametrize("dtype", [tf.uint8, tf.int8, tf.float32], ids=lambda t: t.name)
def test_quantised_input(dtype, segmenter_of):
    quantised = segmenter_of(int8_logits(dtype)).scores(noise())
    exact = segmenter_of(float_logits()).scores(noise())
    assert np.abs(quantised - exact).mean() < 0.05
    assert np.abs(exact - 1 / 3).mean() > 0.02


@pytest.mark.parametrize("dtype", [tf.int32, tf.int64, tf.uint8])
@pytest.mark.parametrize("axes", [3, 4])
def test_foreign_masks(dtype, axes, segmenter_of):
    def mask_of(image):
        mask = tf.cast(tf.argmax(image, -1, output_type=tf.int32), dtype)
        return mask if axes == 3 else mask[..., None]

    image, expected = colours()
    np.testing.assert_array_equal(
        segmenter_of(convert(mask_of, 1, *SIZE, 3))(image), expected
    )


# === Scores ===


@pytest.mark.parametrize("size", [SIZE, (50, 20), (8, 12)])
def test_scores_are_probabilities(size, segmenter_of):
    scores = segmenter_of(float_logits()).scores(noise(size))
    assert scores.shape == (*size, 3)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores.sum(-1), 1, atol=1e-5)
    assert scores.std() > 0.01


def test_scores_are_the_softmax_of_logits(segmenter_of):
    image, expected = colours((SIZE[0] // 4, SIZE[1] // 4))
    content = colour_logits()
    scores = segmenter_of(content).scores(image)
    assert scores[expected == 1][:, 1].min() > 0.5
    logits = run_alone(content, cv2.resize(image, SIZE[::-1]))[0]
    np.testing.assert_allclose(scores, tf.nn.softmax(logits), atol=1e-4)


def test_file_of_scores_gets_no_second_softmax(segmenter_of):
    content = convert(lambda image: tf.nn.softmax(image / 255), 1, *SIZE, 3)
    image, _ = colours()
    scores = segmenter_of(attach(content, about("scores"))).scores(image)
    np.testing.assert_allclose(scores, tf.nn.softmax(image / 255), atol=1e-5)


def stepped(image):
    """Logits of five classes that differ by little, many of them equal."""
    steps = tf.round(image[..., :1] / 64) * 1e-7  # (1, H, W, 1)
    return 1 + tf.concat([steps, 2e-7 - steps, steps, 0 * steps, steps * 0.5], -1)


@pytest.mark.parametrize("size", [SIZE, (64, 96), (37, 51), (9, 7)])
@pytest.mark.parametrize(
    ("function", "count", "output"),
    [
        (lambda x: tf.nn.avg_pool2d(x, 4, 4, "SAME"), 3, "logits"),
        (stepped, 5, "logits"),
        (lambda x: stepped(x) / 5, 5, "scores"),
        (lambda x: tf.nn.softmax(tf.nn.avg_pool2d(x, 4, 4, "SAME") / 99), 3, "scores"),
    ],
    ids=["logits", "nearly equal logits", "nearly equal scores", "scores"],
)
def test_mask_is_the_argmax_of_the_scores(function, count, output, size, segmenter_of):
    content = convert(function, 1, *SIZE, 3)
    labels = LabelSet("own", tuple("abcde"[:count]), ((1, 2, 3),) * count)
    segmenter = segmenter_of(attach(content, about(output, labels=labels)))
    image = cv2.resize(noise((4, 6)), size[::-1], interpolation=cv2.INTER_NEAREST)
    mask, scores = segmenter(image), segmenter.scores(image)
    np.testing.assert_array_equal(scores.argmax(-1), mask)
    assert len(np.unique(mask)) > 1


def test_logits_are_resized_before_the_softmax(segmenter_of):
    scores = segmenter_of(colour_logits()).scores(noise((64, 96)))
    logits = run_alone(colour_logits(), resize_image(noise((64, 96)), SIZE))[0]
    expected = tf.nn.softmax(resize_scores(logits, (64, 96)))
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_stride_of_eight(segmenter_of):
    content = convert(lambda x: tf.nn.avg_pool2d(x, 8, 8, "SAME"), 1, *SIZE, 3)
    segmenter = segmenter_of(attach(content, about(output_stride=8)))
    image, expected = colours()
    assert segmenter.metadata.output_stride == 8
    assert (segmenter(image) == expected).mean() > 0.85
    assert segmenter.scores(image).shape == (*SIZE, 3)


def test_file_of_masks_has_no_scores(segmenter_of):
    with pytest.raises(ValueError, match=r"mask only.*output='logits'"):
        segmenter_of(uint8_mask()).scores(noise())


# === Metadata ===


def test_metadata(segmenter_of):
    content = attach(colour_logits(), about())
    segmenter = segmenter_of(content)
    assert segmenter.labels == LABELS
    assert segmenter.palette == LABELS.palette
    assert segmenter.metadata == about()
    assert segmenter.input_size == SIZE
    assert segmenter.runtime == interpreter.runtime_name()
    np.testing.assert_array_equal(
        segmenter(noise()), segmenter_of(colour_logits())(noise())
    )


def test_foreign_file_has_numbers_for_names(segmenter_of):
    segmenter = segmenter_of(colour_logits())
    assert segmenter.labels.classes == ("class 0", "class 1", "class 2")
    assert len(set(segmenter.palette)) == 3
    assert segmenter.metadata is None
    assert segmenter_of(colour_mask()).labels.num_classes == 255


def test_overlay(segmenter_of):
    image, expected = colours((50, 70))
    segmenter = segmenter_of(attach(colour_mask(), about("mask")))
    picture = segmenter.overlay(image)
    assert picture.shape == image.shape
    expected = overlay(image, segmenter(image), LABELS.palette)
    np.testing.assert_array_equal(picture, expected)
    other = segmenter.overlay(np.ascontiguousarray(image[..., ::-1]), order="BGR")
    np.testing.assert_array_equal(other, expected)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (about("mask"), "metadata says mask"),
        (about(input_size=(64, 48)), "metadata says"),
        (about(labels=LabelSet("own", ("one",), ((0, 0, 0),))), "of 1 classes"),
    ],
)
def test_metadata_of_another_model(metadata, message, segmenter_of):
    with pytest.raises(ModelFileError, match=message):
        segmenter_of(attach(colour_logits(), metadata))


# === Use ===


def test_public_name():
    assert keras_frm.Segmenter is Segmenter


def test_threads_give_what_one_gives(segmenter_of):
    segmenter = segmenter_of(float_logits(), num_threads=2)
    images = [noise((40 + n, 50), seed=n) for n in range(8)]
    expected = [segmenter(image) for image in images]
    assert any((expected[0] != mask[:40]).any() for mask in expected)
    wrong = []

    def work(start):
        for turn in range(40):
            which = (start + turn) % len(images)
            if not np.array_equal(segmenter(images[which]), expected[which]):
                wrong.append(which)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_results_are_not_overwritten_by_the_next_call(segmenter_of):
    segmenter = segmenter_of(colour_mask())
    first = segmenter(colours()[0])
    segmenter(noise())
    np.testing.assert_array_equal(first, colours()[1])


def test_benchmark(segmenter_of):
    found = segmenter_of(float_logits()).benchmark(runs=5)
    assert 0 < found.median_ms <= found.p90_ms
    assert found.call_median_ms > 0
    assert found.fps == pytest.approx(1000 / found.median_ms)
    with pytest.raises(ValueError, match="runs must be 1 or more"):
        segmenter_of(float_logits()).benchmark(runs=0)


# === Mistakes ===


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("photo.png", r"not str; read files with cv2\.imread"),
        (None, "not NoneType"),
        (np.zeros((4, 4, 3), np.float32), r"float32 of shape \(4, 4, 3\)"),
        (np.zeros((4, 4), np.uint8), r"shape \(4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), r"shape \(4, 4, 4\)"),
        (np.zeros((1, 4, 4, 3), np.uint8), "must be uint8 of shape"),
        (np.zeros((0, 4, 3), np.uint8), "empty"),
        (np.zeros((1, 40000, 3), np.uint8), "32767"),
    ],
)
def test_wrong_images(image, message, segmenter_of):
    segmenter = segmenter_of(colour_logits())
    for call in (segmenter, segmenter.scores, segmenter.overlay):
        with pytest.raises(ValueError, match=message) as caught:
            call(image)
        assert "\n" not in str(caught.value)


def test_wrong_order_and_threads(segmenter_of):
    with pytest.raises(ValueError, match="order must be 'RGB' or 'BGR', not 'GBR'"):
        segmenter_of(colour_logits())(noise(), order="GBR")
    with pytest.raises(ValueError, match="num_threads must be 1 or more"):
        segmenter_of(colour_logits(), num_threads=0)


def test_file_of_unknown_kind(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(colour_logits())
    with pytest.raises(ModelFileError, match=r"its ending is none of \.tflite"):
        Segmenter(path)


def test_missing_file(tmp_path):
    for path in (tmp_path / "no.tflite", tmp_path):
        with pytest.raises(FileNotFoundError, match="There is no model file"):
            Segmenter(path)


@pytest.mark.parametrize(
    ("function", "shape", "message"),
    [
        (lambda x: x + 1, (1, 8, 8, 4), "not one RGB image"),
        (lambda x: x + 1, (2, 8, 8, 3), "not one RGB image"),
        (lambda x: tf.reduce_mean(x, (1, 2)), (1, 8, 8, 3), "no mask and no scores"),
        (lambda x: x[..., :1] * 2, (1, 8, 8, 3), "float32 of shape"),
        (lambda x: tf.nn.softmax(x[:, 0]), (1, 8, 8, 3), "float32 of shape"),
        (lambda x: (x, x * 2), (1, 8, 8, 3), "no mask and no scores"),
    ],
    ids=["four channels", "batch", "classifier", "depth", "a line", "two outputs"],
)
def test_models_that_do_not_segment(function, shape, message, segmenter_of):
    with pytest.raises(ModelFileError, match=message) as caught:
        segmenter_of(convert(function, *shape))
    assert "model.tflite" in str(caught.value)


# === Interpreters ===


def test_remedy_without_an_interpreter(monkeypatch):
    for name in ("ai_edge_litert", "tflite_runtime", "tensorflow"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match="pip install ai-edge-litert"):
        interpreter.runtime_name()


def test_tensorflow_is_the_last_choice(monkeypatch):
    assert interpreter.runtime_name() != "tensorflow"
    for name in ("ai_edge_litert", "tflite_runtime"):
        monkeypatch.setitem(sys.modules, name, None)
    assert interpreter.runtime_name() == "tensorflow"
    loaded = interpreter.load_interpreter(colour_logits(), 1)
    assert loaded.get_input_details()[0]["shape"].tolist() == [1, *SIZE, 3]


# === Command line and examples ===

BLOCK = """
import sys
for name in ("keras", "tensorflow"):
    sys.modules[name] = None
"""


def run_script(script, *arguments):
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DISPLAY": ""},
    )


def predict(*arguments):
    script = BLOCK + "from keras_frm.cli import main; sys.exit(main())"
    return run_script(script, "predict", *arguments)


@pytest.fixture
def files(tmp_path):
    """A model, a folder with an image, and a video."""
    model = tmp_path / "model.tflite"
    model.write_bytes(attach(colour_mask(), about("mask")))
    (tmp_path / "images").mkdir()
    image, _ = colours((40, 60))
    write_png(tmp_path / "images" / "street.png", image)
    with write_video(tmp_path / "drive.avi", fps=5, size=image.shape[:2]) as write:
        write(image)
        write(image)
    return tmp_path


def test_predict_images_without_keras_and_tensorflow(files):
    out = files / "out"
    done = predict(
        *(files / "model.tflite", files / "images", "--out", out),
        *("--masks", "--threads", 1),
    )
    assert done.returncode == 0, done.stderr
    mask = cv2.imread(str(out / "street_mask.png"), cv2.IMREAD_UNCHANGED)
    assert (mask == colours((40, 60))[1]).mean() > 0.9
    assert (out / "street_overlay.png").is_file()


def test_predict_a_video_without_keras_and_tensorflow(files):
    done = predict(files / "model.tflite", files / "drive.avi", "--out", files / "out")
    assert done.returncode == 0, done.stderr
    assert "2 frames" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("model.tflite", "images", "--resize", 8, 8), "--resize does not fit"),
        (("model.tflite", "nowhere"), "There is no image, folder or video"),
        (("model.tflite", "camera:x"), "camera:1"),
        (("model.tflite", "camera:987"), "Camera 987 does not open"),
        (("no.tflite", "images"), "There is no model file"),
        (("drive.tflite", "images"), "it is no .tflite file"),
    ],
)
def test_predict_with_a_mistake(arguments, message, files, monkeypatch):
    (files / "drive.tflite").write_bytes(b"RIFF" * 9)
    monkeypatch.chdir(files)
    done = predict(*arguments)
    assert done.returncode == 1
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("segment_image", ("images/street.png", "--out", "a.png"), "a.png"),
        ("segment_folder", ("images", "--out", "masks"), "masks/street.png"),
    ],
)
def test_examples(name, arguments, expected, files, monkeypatch):
    monkeypatch.chdir(files)
    script = (ROOT / "examples" / f"{name}.py").read_text()
    done = run_script(BLOCK + script, "model.tflite", *arguments)
    assert done.returncode == 0, done.stderr
    assert cv2.imread(expected).shape == (40, 60, 3)
