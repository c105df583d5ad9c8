"""What commands know of a model without being told: its run, its preset, its size."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from data_files import write_folder, write_image
from test_cli import keras_frm, write_camvid
from tiny import toy_model

from keras_frm.images import resize_image, resize_scores
from keras_frm.labels import CAMVID
from keras_frm.presets import PRESETS
from keras_frm.runtime.tflite import metadata_zip
from keras_frm.training.run_folder import new_run, save_model

SIZE = (36, 48)
RANDOM = np.random.default_rng(0)


def network(classes=11, size=(None, None)):
    """A network whose random weights give all classes."""
    model = toy_model(classes, preset="camvid")
    model.set_weights([RANDOM.normal(size=w.shape) for w in model.get_weights()])
    if None in size:
        return model.network
    image = keras.Input((*size, 3))
    return keras.Model(image, model.network(image))


def write_run(folder, data, preset="camvid", labels=CAMVID, **config):
    """Write a run folder as `train` leaves it, with a network of two convolutions."""
    config = {"command": "train", "data": str(data), "preset": {"name": preset}}
    with new_run(folder, config, labels):
        save_model(network(labels.num_classes), folder / "best.keras")
    return folder


@pytest.fixture
def camvid(tmp_path):
    return write_camvid(tmp_path / "camvid", count=2)


@pytest.fixture
def run(camvid, tmp_path):
    return write_run(tmp_path / "run", camvid)


@pytest.fixture
def photo(tmp_path):
    return write_image(tmp_path / "photo.png", (40, 60))


def mean_row(folder):
    with open(folder / "iou.csv", newline="") as file:
        return next(row for row in csv.DictReader(file) if row["class"] == "mean")


# === The preset and the data of a run ===


@pytest.mark.parametrize("name", ["", "best.keras"])
def test_evaluate_takes_preset_and_data_of_the_run(name, run, camvid, tmp_path):
    done = keras_frm("evaluate", run / name, "--out", tmp_path / "own")
    assert done.code == 0, done.err
    assert f"from the run {run}: preset camvid, data {camvid}" in done.err
    options = ("--preset", "camvid", "--data", camvid, "--out", tmp_path / "given")
    given = keras_frm("evaluate", run / name, *options)
    assert given.out.splitlines()[:-1] == done.out.splitlines()[:-1]
    assert "from the run" not in given.err
    assert mean_row(tmp_path / "own") == mean_row(tmp_path / "given")


def test_evaluate_takes_what_is_not_given(run, camvid, tmp_path):
    moved = shutil.move(camvid, tmp_path / "moved")
    done = keras_frm("evaluate", run, "--data", moved)
    assert done.code == 0, done.err
    assert f"from the run {run}: preset camvid\n" in done.err


@pytest.mark.slow
def test_data_of_the_run_that_are_gone(run, camvid):
    shutil.rmtree(camvid)
    done = keras_frm("evaluate", run)
    assert f"from the run {run}: preset camvid, {camvid} is gone" in done.err
    assert "'camvid' is read from files: pass its folder by --data" in done.line
    done = keras_frm("benchmark", run, "--size", *SIZE, "--runs", 1)
    assert done.code == 0, done.err
    assert "synthetic scenes" in done.out


def test_another_preset_takes_nothing_of_the_run(run):
    line = keras_frm("evaluate", run, "--preset", "cityscapes").only_line
    assert "11 classes" in line
    assert "'cityscapes' has 19; name its --preset" in line


def test_a_run_on_a_folder_of_ones_own(tmp_path):
    data = write_folder(tmp_path / "data", size=SIZE)
    write_folder(data, split="val", size=SIZE, count=2)
    labels = file_labels(data)
    run = write_run(tmp_path / "run", data, "folder", labels)
    done = keras_frm("evaluate", run)
    assert done.code == 0, done.err
    for name in ("road", "car", "sky"):
        assert name in done.out


def file_labels(data):
    from keras_frm.data.sources import find_pairs

    return find_pairs("folder", data, "train").labels


def test_path_of_the_data_as_it_was_typed_elsewhere(run, camvid):
    config = json.loads((run / "config.json").read_text())
    config["data"], config["options"] = "camvid", {"data": str(camvid)}
    (run / "config.json").write_text(json.dumps(config))
    assert f"data {camvid}" in keras_frm("evaluate", run).err


@pytest.mark.slow
def test_benchmark_takes_the_data_of_the_run(run, camvid, tmp_path):
    options = ("--size", *SIZE, "--runs", 1, "--out", tmp_path / "out")
    done = keras_frm("benchmark", run, *options)
    assert done.code == 0, done.err
    assert "2 images: camvid val" in done.out
    with open(tmp_path / "out" / "benchmark.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert 0 <= float(row["mean_iou"]) < 1


@pytest.mark.slow
def test_benchmark_takes_nothing_where_runs_differ(run, tmp_path):
    other = write_run(tmp_path / "other", tmp_path / "elsewhere")
    options = ("--size", *SIZE, "--runs", 1)
    done = keras_frm("benchmark", run, other, *options)
    assert done.code == 0, done.err
    assert "synthetic scenes" in done.out
    assert "from the run" not in done.err


def test_export_calibrates_on_the_data_of_the_run(run, camvid, tmp_path):
    out = tmp_path / "a.tflite"
    options = ("--size", 32, 48, "--precision", "int8", "--min-agreement", 0)
    tanh = ("--keep-float", "decoder.activation")
    done = keras_frm("export", run, out, *options, *tanh)
    assert done.code == 0, done.err
    assert f"data {camvid}" in done.err
    assert metadata_zip.read(out.read_bytes()).labels.name == "camvid"


# === A file alone ===


def test_predict_by_a_network_that_names_no_classes(photo, tmp_path):
    network(5).save(tmp_path / "net.keras")
    done = keras_frm("predict", tmp_path / "net.keras", photo, "--out", tmp_path / "a")
    assert done.code == 0, done.err
    assert "net.keras names no classes, so they get numbers; --preset" in done.err
    assert cv2.imread(str(tmp_path / "a" / "photo_overlay.png")) is not None


def test_predict_by_a_model_that_knows_its_classes(photo, tmp_path):
    toy_model(11, preset="camvid").save(tmp_path / "net.keras")
    done = keras_frm("predict", tmp_path / "net.keras", photo, "--out", tmp_path / "a")
    assert done.code == 0, done.err
    assert "numbers" not in done.err


def test_predict_with_a_preset(photo, tmp_path):
    network(11).save(tmp_path / "net.keras")
    options = ("--preset", "camvid", "--out", tmp_path / "a")
    done = keras_frm("predict", tmp_path / "net.keras", photo, *options)
    assert done.code == 0, done.err
    assert "numbers" not in done.err


def test_evaluate_takes_the_preset_of_the_model(camvid, tmp_path):
    toy_model(11, preset="camvid").save(tmp_path / "net.keras")
    done = keras_frm("evaluate", tmp_path / "net.keras", "--data", camvid)
    assert done.code == 0, done.err
    assert "pavement" in done.out


def test_evaluate_by_a_preset_of_ones_own(tmp_path, monkeypatch):
    data = write_folder(tmp_path / "data", size=SIZE)
    write_folder(data, split="val", size=SIZE, count=2)
    import dataclasses

    mine = dataclasses.replace(
        PRESETS["camvid"], name="mine", dataset="folder", labels=file_labels(data)
    )
    monkeypatch.setitem(PRESETS, "mine", mine)
    toy_model(3, preset=mine).save(tmp_path / "net.keras")
    done = keras_frm("evaluate", tmp_path / "net.keras", "--data", data)
    assert done.code == 0, done.err
    assert "road" in done.out


def test_export_of_a_network_that_names_no_classes(tmp_path):
    network(5).save(tmp_path / "net.keras")
    out = tmp_path / "a.tflite"
    done = keras_frm("export", tmp_path / "net.keras", out, "--size", 32, 48)
    assert done.code == 0, done.err
    assert "names no classes" in done.err
    assert metadata_zip.read(out.read_bytes()).labels.classes[4] == "class 4"


def test_a_damaged_configuration_beside_the_file(photo, tmp_path):
    network(11).save(tmp_path / "net.keras")
    (tmp_path / "config.json").write_text("{")
    line = keras_frm("predict", tmp_path / "net.keras", photo).only_line
    assert "config.json is damaged" in line
    assert line.endswith("; name its classes with --preset.")


# === Sizes ===


def expected_mask(model, image, size):
    logits = model(resize_image(image, size)[None])[0].numpy()
    return resize_scores(logits, image.shape[:2]).argmax(-1)


@pytest.mark.parametrize("fixed", [False, True])
def test_predict_resizes_images_by_areas_and_scores_bilinearly(fixed, tmp_path):
    size = (16, 24)
    model = network(11, size if fixed else (None, None))
    model.save(tmp_path / "net.keras")
    image = RANDOM.integers(0, 256, (64, 96, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    options = () if fixed else ("--resize", *size)
    done = keras_frm(
        *("predict", tmp_path / "net.keras", tmp_path / "a.png", *options, "--masks"),
        *("--out", tmp_path / "out", "--preset", "camvid"),
    )
    assert done.code == 0, done.err
    mask = cv2.imread(str(tmp_path / "out" / "a_mask.png"), cv2.IMREAD_UNCHANGED)
    assert (mask == expected_mask(model, image, size)).mean() > 0.999


def test_another_size_than_the_networks(photo, tmp_path):
    network(11, (16, 24)).save(tmp_path / "net.keras")
    options = ("--resize", 32, 48, "--preset", "camvid")
    line = keras_frm("predict", tmp_path / "net.keras", photo, *options).only_line
    assert "--resize does not fit" in line
    assert "16x24" in line


def test_evaluate_names_its_options(camvid, tmp_path):
    options = ("--preset", "camvid", "--data", camvid)
    path = tmp_path / "net.keras"
    network(11, (16, 24)).save(path)
    line = keras_frm("evaluate", path, *options).line
    assert "images of 16x24 only and got 36x48; pass --window" in line
    done = keras_frm("evaluate", path, *options, "--stride", 16, 24)
    assert done.code == 0, done.err
    network(11).save(path)
    line = keras_frm("evaluate", path, *options, "--stride", 8, 8).line
    assert "pass --window" in line


def test_a_runs_configuration_is_read_without_tensorflow(run):
    code = (
        "import sys; from pathlib import Path\n"
        "from keras_frm.cli.trained import choices_of_run\n"
        f"print(choices_of_run([Path({str(run)!r})], None, None)[0])\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=root, capture_output=True
    )
    assert done.stdout.decode().strip() == "camvid"
