import csv
import math
import shutil
import sys
from pathlib import Path

import cv2
import keras
import numpy as np
import onnx_files
import pytest
import tensorflow as tf
from helpers import clock
from test_cli import keras_frm, write_camvid
from tflite_files import (
    CLASSES,
    SIZE,
    colour_logits,
    colour_mask,
    convert,
    float_logits,
)

from keras_frm.benchmark import comparison_report, peak_memory
from keras_frm.benchmark.comparison import (
    Comparison,
    ComparisonRow,
    compare_models,
)
from keras_frm.benchmark.comparison_plot import draw_tradeoff, tradeoff_picture
from keras_frm.benchmark.mask_scores import score_masks, synthetic_pairs
from keras_frm.benchmark.model_files import ModelFile, open_model, open_models
from keras_frm.evaluation.evaluate import evaluate
from keras_frm.images import resize_scores
from keras_frm.labels import LabelSet

COLOURS = LabelSet(
    "colours", ("red", "green", "blue"), ((255, 0, 0), (0, 255, 0), (0, 0, 255))
)
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files whose class is the strongest colour, one of them of random weights."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "mask.tflite").write_bytes(colour_mask())
    (folder / "logits.tflite").write_bytes(colour_logits())
    (folder / "random.tflite").write_bytes(float_logits())
    image = keras.Input((None, None, 3))
    scores = keras.layers.Rescaling(1 / 255)(image)
    keras.Model(image, scores).save(folder / "net.keras")
    return folder


@pytest.fixture(autouse=True)
def no_processes(monkeypatch):
    """Start no process for the memory of each file."""
    monkeypatch.setattr("keras_frm.benchmark.comparison.peak_memory", lambda *_: 50e6)


def pairs(count=3, size=SIZE):
    """Blocks of colour with labels that are right but for the last rows."""
    for _ in range(count):
        small = RANDOM.integers(0, 256, (4, 6, 3), np.uint8)
        image = small.repeat(size[0] // 4, 0).repeat(size[1] // 6, 1)
        label = image.argmax(-1).astype(np.uint8)
        label[-8:] = (label[-8:] + 1) % 3
        label[:2] = 255
        yield image, label


def fake(name, segment, size=SIZE):
    """A model that is a function."""
    return ModelFile(name, Path(name), "none", size, None, lambda: None, segment)


# === Measuring ===


def test_latencies_of_a_machine_that_slows_down(folder):
    paths = [folder / "mask.tflite", folder / "logits.tflite"]
    # Each round is slower than the one before, the second file half as slow.
    seconds = [t for n in (1, 2, 3, 4, 10) for t in (n, n / 2)]
    result = compare_models(paths, [next(pairs())], runs=5, clock=clock(*seconds))
    first, second = result.rows
    assert (first.latency, second.latency) == (3000, 1500)
    assert first.slow_latency == pytest.approx(7600)
    assert (first.ratio, second.ratio) == (1, 0.5)
    assert first.throughput == pytest.approx(5 / 20)
    assert second.throughput == pytest.approx(5 / 10)
    assert (first.name, second.name) == ("mask.tflite", "logits.tflite")
    assert second.file_size == paths[1].stat().st_size
    assert second.input_size == SIZE
    assert result.images == 1
    assert "Python" in result.machine


def test_agreement_and_iou_are_counted_by_pixel():
    data = list(pairs())
    right = lambda image: image.argmax(-1).astype(np.uint8)  # noqa: E731

    def half(image):
        mask = right(image)
        mask[: SIZE[0] // 2] = 0
        return mask

    scores, images = score_masks([fake("a", right), fake("b", half)], data, COLOURS)
    assert images == 3
    assert scores[0].agreement == 1
    red = np.mean([right(image)[: SIZE[0] // 2] == 0 for image, _ in data])
    assert scores[1].agreement == pytest.approx(0.5 + red / 2)
    for score, segment in zip(scores, (right, half), strict=True):
        expected = evaluate(segment, data, labels=COLOURS).mean_iou
        assert score.mean_iou == pytest.approx(expected)
    assert scores[0].mean_iou < 1


def test_without_labels_there_is_no_iou():
    segment = fake("a", lambda image: image[..., 0] // 128)
    scores, images = score_masks([segment], synthetic_pairs((8, 8), count=2))
    assert images == 2
    assert math.isnan(scores[0].mean_iou)
    with pytest.raises(ValueError, match="no image"):
        score_masks([segment], [])


def test_ids_that_are_no_class_name_the_file():
    wrong = fake("wrong.tflite", lambda image: np.full(image.shape[:2], 7, np.uint8))
    with pytest.raises(ValueError, match=r"wrong.tflite: Predictions .*\[7\]"):
        score_masks([wrong], pairs(1), COLOURS)


def test_files_of_all_kinds_agree(folder):
    names = ("mask.tflite", "logits.tflite", "net.keras")
    result = compare_models(
        [folder / name for name in names], pairs(), labels=COLOURS, runs=2
    )
    by_name = {row.name: row for row in result.rows}
    assert tuple(by_name) == names
    assert by_name["net.keras"].agreement == 1
    assert by_name["net.keras"].input_size == SIZE
    assert by_name["net.keras"].runtime.startswith("TensorFlow")
    assert by_name["net.keras"].mean_iou == by_name["mask.tflite"].mean_iou < 1
    assert by_name["logits.tflite"].agreement > 0.7  # blurred between blocks
    assert all(row.latency > 0 and row.mask_latency > 0 for row in result.rows)


def test_another_class_count_than_the_labels(folder):
    labels = LabelSet("two", ("a", "b"), ((0, 0, 0), (9, 9, 9)))
    with pytest.raises(ValueError, match=r"random.tflite has 3 classes .*'two' has 2"):
        compare_models([folder / "random.tflite"], pairs(), labels=labels, runs=1)
    assert CLASSES == 3


# === Model files ===


def test_a_keras_file_of_open_size(folder):
    with pytest.raises(ValueError, match=r"any size; pass size=\(height, width\)"):
        open_model(folder / "net.keras")
    model = open_model(folder / "net.keras", size=(20, 30))
    image = next(pairs(1, (40, 60)))[0]
    mask = model.segment(image)
    assert (mask.shape, mask.dtype) == ((40, 60), np.uint8)
    assert np.mean(mask == image.argmax(-1)) > 0.85  # blurred between blocks


def test_all_kinds_of_files_resize_images_alike(folder):
    # At a quarter of the size bilinear samples see the middle columns only: green.
    image = np.zeros((4 * SIZE[0], 4 * SIZE[1], 3), np.uint8)
    image[:, ::4] = image[:, 3::4] = (255, 0, 0)
    image[:, 1::4] = image[:, 2::4] = (0, 100, 0)
    assert (resize_scores(image, SIZE).argmax(-1) == 1).all()
    seen = {}
    onnx_files.write(
        folder / "net.onnx", onnx_files.colour_scores(channels_first=False)
    )
    for name in ("mask.tflite", "net.keras", "net.onnx"):
        seen[name] = open_model(folder / name, size=SIZE).segment(image)
    # Areas hold as much of both colours, and the red one is the stronger.
    assert (seen["mask.tflite"] == 0).all()
    for mask in seen.values():
        np.testing.assert_array_equal(mask, seen["mask.tflite"])


def test_scores_of_any_stride(tmp_path):
    path = tmp_path / "stride8.tflite"
    path.write_bytes(
        convert(lambda image: tf.nn.avg_pool2d(image, 8, 8, "SAME"), 1, *SIZE, 3)
    )
    model = open_model(path)
    image = np.zeros((*SIZE, 3), np.uint8)
    image[:, :24, 1], image[:, 24:, 2] = 200, 200
    mask = model.segment(image)
    assert mask.shape == SIZE
    assert (mask[:, :20] == 1).all()
    assert (mask[:, 28:] == 2).all()


def test_a_run_folder(folder, tmp_path):
    shutil.copy(folder / "net.keras", tmp_path / "best.keras")
    model = open_model(tmp_path, size=(20, 30))
    assert model.path.name == "best.keras"
    assert model.file_size == (folder / "net.keras").stat().st_size
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match=r"is no run folder"):
        open_model(tmp_path / "empty")


def test_names_are_told_apart(folder, tmp_path):
    shutil.copy(folder / "mask.tflite", tmp_path / "mask.tflite")
    models = open_models([folder / "mask.tflite", tmp_path / "mask.tflite"])
    assert len({model.name for model in models}) == 2
    models = open_models([folder / "mask.tflite"] * 2)
    assert len({model.name for model in models}) == 2


def test_an_onnx_file_of_open_size(tmp_path):
    path = onnx_files.write(tmp_path / "net.onnx", onnx_files.colour_scores())
    with pytest.raises(ValueError, match=r"net.onnx.* any size; pass size=\(height"):
        open_model(path)
    model = open_model(path, size=SIZE, threads=1)
    image = next(pairs(1))[0]
    mask = model.segment(image)
    assert (mask.shape, mask.dtype) == (SIZE, np.uint8)
    assert np.mean(mask == image.argmax(-1)) > 0.85  # blurred between blocks
    model.invoke()
    assert model.num_classes is CLASSES
    assert model.runtime.startswith("ONNX Runtime ")
    path.write_bytes(b"bad")
    with pytest.raises(ValueError, match=r"net.onnx': it is no .onnx file"):
        open_model(path, size=SIZE)


def test_an_onnx_file_runs_in_openvino_too(tmp_path):
    pytest.importorskip("openvino")
    path = onnx_files.write(tmp_path / "net.onnx", onnx_files.colour_scores())
    first, second = open_models([path], size=SIZE)
    assert (first.name, second.name) == ("net.onnx", "net.onnx (openvino)")
    image = next(pairs(1))[0]
    np.testing.assert_array_equal(first.segment(image), second.segment(image))


# === Memory ===


def test_memory_of_a_process_of_its_own(folder):
    held = np.ones(2**26)  # 0.5 GB here are not counted there
    peak = peak_memory.peak_memory(folder / "mask.tflite", SIZE)
    assert 2e7 < peak < 4e8 < held.nbytes <= peak_memory.own_peak()


def test_memory_of_a_file_that_fails_is_unknown(tmp_path):
    assert math.isnan(peak_memory.peak_memory(tmp_path / "none.tflite", SIZE))


# === Reports ===


def report(*rows):
    return Comparison(rows, "a machine, 2 cores", 2, 30, 8, "camvid val")


ROW = ComparisonRow(
    *("a|b.tflite", "LiteRT 9", (64, 128), 2.0, 3.5, 480.04, 1.0, 2.5),
    *(90.4e6, 1_234_567, 1.0, 0.6543),
)
OTHER = ROW._replace(name="[red]c.keras", ratio=0.5, memory=math.nan, mean_iou=math.nan)


def test_text_and_markdown():
    text = comparison_report.to_text(report(ROW, OTHER))
    first, second = text.splitlines()[1:3]
    assert first.split() == [
        *(
            "a|b.tflite",
            "LiteRT",
            "9",
            "64x128",
            "2.00",
            "3.50",
            "480.0",
            "1.000",
            "2.50",
        ),
        *("90", "1.23", "100.00%", "65.43%"),
    ]
    assert second.split()[0] == "[red]c.keras"
    assert second.split()[-4:] == ["-", "1.23", "100.00%", "-"]
    markdown = comparison_report.to_markdown(report(ROW, OTHER))
    assert "| a\\|b.tflite | LiteRT 9 | 64x128 | 2.00 |" in markdown
    for words in (
        "a machine, 2 cores",
        "2 threads",
        "LiteRT 9",
        "8 images: camvid val",
    ):
        assert words in text
        assert words in markdown


def test_csv_tells_it_all(tmp_path):
    comparison_report.save(report(ROW, OTHER), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("benchmark.csv", "benchmark.md", "benchmark.png"),
    }
    with open(tmp_path / "benchmark.csv", newline="") as file:
        first, second = csv.DictReader(file)
    assert float(first["latency_ms"]) == 2
    assert float(first["mean_iou"]) == 0.6543
    assert first["peak_memory_bytes"] == "90400000"
    assert second["peak_memory_bytes"] == second["mean_iou"] == ""
    assert second["machine"] == "a machine, 2 cores"
    assert cv2.imread(str(tmp_path / "benchmark.png")) is not None


def test_the_picture_names_every_file_apart():
    names = [f"a_long_name_of_a_file_{n}_int8_512x1024.tflite" for n in range(12)]
    names[1] = "_$hidden$.tflite"  # neither left out nor a formula
    figure = draw_tradeoff(names, [9.0] * 12, [0.7] * 12, "mIoU", "a machine")
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == [f"9.0 ms, 70.0 %: {name}" for name in names]
    points = legend.legend_handles
    assert len({(point.get_marker(), point.get_color()) for point in points}) == 12
    bounds, (axes,) = figure.bbox, figure.axes
    box = legend.get_window_extent()
    assert bounds.x0 <= box.x0 < box.x1 <= bounds.x1
    assert bounds.y0 <= box.y0 < box.y1 <= bounds.y1
    assert not box.overlaps(axes.get_tightbbox())
    low, high = axes.get_ylim()
    assert high - low >= 1  # equal files look equal


def test_a_very_long_name_is_cut_in_its_middle():
    figure = draw_tradeoff(["a" * 90 + "b" * 90], [3.0], [0.5], "mIoU")
    (text,) = figure.legends[0].get_texts()
    assert text.get_text().endswith("a…" + "b" * 34)


def test_picture_without_scores():
    assert tradeoff_picture(["a"], [3.0], [math.nan], "mIoU").shape[-1] == 3
    figure = draw_tradeoff(["a", "b"], [3.0, 4.0], [0.5, math.nan], "mIoU")
    assert len(figure.legends[0].get_texts()) == 1


# === The command ===


def test_the_command_on_synthetic_scenes(folder, tmp_path):
    files = (folder / "mask.tflite", folder / "random.tflite")
    done = keras_frm("benchmark", *files, "--runs", 2, "--out", tmp_path)
    assert done.code == 0, done.err
    assert "8 images: synthetic scenes" in done.out
    with open(tmp_path / "benchmark.csv", newline="") as file:
        first, second = csv.DictReader(file)
    assert first["agreement"] == "1.000000"
    assert 0 < float(second["agreement"]) < 1
    assert first["mean_iou"] == ""


def test_the_command_on_a_dataset(folder, tmp_path):
    options = ("--data", write_camvid(tmp_path / "camvid"), "--preset", "camvid")
    done = keras_frm(
        *("benchmark", folder / "mask.tflite", *options, "--limit", 2, "--runs", 1),
        *("--out", tmp_path / "out"),
    )
    assert done.code == 0, done.err
    assert "2 images: camvid val" in done.out
    with open(tmp_path / "out" / "benchmark.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert 0 <= float(row["mean_iou"]) < 1
    line = keras_frm("benchmark", folder / "random.tflite", *options).line
    assert "random.tflite has 3 classes" in line


def test_the_command_with_a_mistake(folder, tmp_path, monkeypatch):
    assert "no model at" in keras_frm("benchmark", tmp_path / "none.tflite").line
    (tmp_path / "a.bin").write_bytes(b"")
    assert "unknown kind" in keras_frm("benchmark", tmp_path / "a.bin").line
    (tmp_path / "bad.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(99))
    assert "bad.tflite" in keras_frm("benchmark", tmp_path / "bad.tflite").line
    (tmp_path / "bad.keras").write_bytes(b"PK")
    assert "bad.keras" in keras_frm("benchmark", tmp_path / "bad.keras").line
    (tmp_path / "a.onnx").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    line = keras_frm("benchmark", tmp_path / "a.onnx").line
    assert line.endswith("Run: pip install onnxruntime")
    line = keras_frm("benchmark", folder / "net.keras").line
    assert line.endswith("net.keras takes images of any size; say which with --size.")
