"""`keras-frm card`: one page about a trained model."""

import math
from collections import Counter

import pytest
from data_files import write_image
from PIL import Image
from test_cli import camvid  # noqa: F401
from test_cli import keras_frm as command
from tiny import toy_model

import keras_frm
from keras_frm.benchmark.comparison import Comparison, ComparisonRow
from keras_frm.benchmark.model_card import DeviceFile, ModelCard
from keras_frm.cli.datasets import settings_of
from keras_frm.labels import CAMVID
from keras_frm.presets import preset
from keras_frm.training.run_folder import BEST, new_run


@pytest.fixture(scope="module")
def run(camvid, tmp_path_factory):  # noqa: F811
    """A run folder with a float32 file."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    chosen = preset("camvid").with_changes(epochs=3)
    config = {
        "command": "train",
        "data": str(camvid),
        "seed": 7,
        "weights": "imagenet",
        "network": {"backbone": "toy", "context": None},
        "preset": settings_of(chosen),
        "options": {"preset": "camvid", "crop": [32, 48], "deterministic": True},
    }
    model = toy_model(CAMVID.num_classes, preset=chosen)
    with new_run(folder, config, CAMVID):
        model.save(folder / BEST)
        images = keras_frm.load_dataset("camvid", camvid, "val", batch_size=1)
        keras_frm.export_tflite(
            *(model, folder / "toy.tflite"),
            input_shape=(36, 48),
            representative_data=images,
        )
    return folder


def test_page_of_a_run(run, tmp_path):
    done = command("card", run, "--out", tmp_path, "--extra-data", "ImageNet")
    assert done.code == 0, done.err
    page = (tmp_path / "card.md").read_text()
    for words in (
        "# mine",
        "- network: frm",
        "- context: None",
        "11 classes: sky, building",
        "M parameters",
        "trained on: camvid",
        "extra data: ImageNet",
        "CC BY-NC 4.0",
        "keras-frm train --preset camvid --crop 32 48 --deterministic",
        "- epochs: 3",
        "- optimizer: adamw",
        "- start: imagenet",
        "| class | mine | toy.tflite |",
        "(camvid val)",
        "| 36x48 |",
        "| toy.tflite | LiteRT ",
        "![Image and masks](card.png)",
        "not measured unless",
    ):
        assert words in page
    with Image.open(tmp_path / "card.png") as picture:
        assert picture.width >= 4 * 48  # image, label, and two masks


@pytest.mark.slow
def test_a_file_of_another_runtime(run, tmp_path):
    model = keras_frm.load_model(run / BEST)
    keras_frm.export_onnx(model, tmp_path / "toy.onnx", input_shape=(36, 48))
    done = command("card", run, tmp_path / "toy.onnx", "--out", tmp_path / "card")
    assert done.code == 0, done.err
    page = (tmp_path / "card" / "card.md").read_text()
    assert "| toy.onnx | ONNX Runtime " in page
    with Image.open(tmp_path / "card" / "card.png") as picture:
        assert picture.width >= 4 * 48


@pytest.mark.slow
def test_other_terms_and_no_pictures(run, tmp_path):
    options = ("--licence", "Ours alone.", "--no-pictures", "--title", "Streets")
    done = command("card", run, "--out", tmp_path, "--limit", 1, *options)
    assert done.code == 0, done.err
    page = (tmp_path / "card.md").read_text()
    assert page.startswith("# Streets\n")
    assert "terms of the data: Ours alone." in page
    assert "IoU on 1 images" in page
    assert not (tmp_path / "card.png").exists()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("gone",), "gone"),
        (("RUN", "photo.png"), "photo.png is no exported file"),
        (("RUN", "gone.tflite"), "gone.tflite"),
        (("RUN", "--data", "nowhere"), "nowhere"),
        (("RUN", "--preset", "camvids"), "camvids"),
    ],
    ids=str,
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    run, tmp_path, monkeypatch, arguments, match
):
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "photo.png")
    arguments = [run if text == "RUN" else text for text in arguments]
    done = command("card", *arguments, "--out", "card")
    assert done.code == 1
    *notes, line = done.err.strip().splitlines()
    assert match in line
    assert all(note.startswith("from the run") for note in notes)
    assert not (tmp_path / "card").exists()


def test_limits_are_of_the_last_file():
    numbers = (2.0, 3.0, 480.0, 1.0, 2.5, 90e6, 10**6, 1.0)
    iou = (0.9,) * 9 + (0.2, math.nan)
    rows = [
        ComparisonRow("best.keras", "TF", (64, 128), *numbers, 0.9, (0.9,) * 11),
        ComparisonRow("a_int8.tflite", "LiteRT", (64, 128), *numbers, 0.8, iou),
    ]
    measured = Comparison(tuple(rows), "a machine", 2, 30, 8, "camvid val")
    files = {"a_int8.tflite": DeviceFile(2, Counter(ARG_MAX=1))}
    page = ModelCard("mine", CAMVID, measured, files=files).to_markdown()
    assert "Classes under 30 % IoU on these images: pedestrian." in page
    assert "Measured at 128x64." in page
    assert "| 2 | ARG_MAX 1 |" in page
    assert "best.keras 90.00%, a_int8.tflite 80.00%" in page
    assert "trained on: unknown" in page
