"""Damaged model files and images: every failure is a named error."""

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from onnx_files import colour_scores
from onnx_files import write as onnx_file
from tflite_files import SIZE, float_logits, int8_logits, uint8_mask
from tiny import tiny_model

from keras_frm import export_onnx, export_tflite, quantize_aware
from keras_frm.data.representative import scenes
from keras_frm.export.tflite.interface import with_interface
from keras_frm.labels import LabelSet
from keras_frm.runtime.file_metadata import FileMetadata
from keras_frm.runtime.tflite.metadata_zip import attach

SCRIPT = Path(__file__).with_name("fuzz_files.py")
LABELS = LabelSet("own", ("a", "b", "c"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Good files: models with and without metadata, and images."""
    folder = tmp_path_factory.mktemp("good")
    models = {"float": float_logits(), "mask": uint8_mask(), "int8": int8_logits()}
    for name, content in models.items():
        output = "mask" if name == "mask" else "logits"
        about = FileMetadata(LABELS, output, 1, name, SIZE, "0.1.0")
        (folder / f"{name}.tflite").write_bytes(content)
        content = attach(with_interface(content, about), about)
        (folder / f"{name}_own.tflite").write_bytes(content)
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    for ending in ("png", "jpg"):
        cv2.imwrite(str(folder / f"image.{ending}"), cv2.blur(image, (5, 5)))
    return folder


@pytest.mark.parametrize(
    ("seed", "files", "images"),
    [(0, 60, 60), pytest.param(1, 500, 200, marks=pytest.mark.long)],
)
def test_damaged_files_give_named_errors(seed, files, images, folder, tmp_path):
    found = fuzz(
        *(seed, files, images),
        *sorted(folder.glob("*.tflite")),
        *("--image", *sorted(folder.glob("image.*")), "--folder", tmp_path),
    )
    assert {name for name, _ in found} == {"none", "ModelFileError", "DataError"}
    assert sum(int(count) for _, count in found) == files + images


@pytest.mark.parametrize("files", [40, pytest.param(300, marks=pytest.mark.long)])
def test_damaged_files_of_integers_alone(files, tmp_path):
    """The operations that only `int8_full` brings, its LayerNorm and softmax."""
    image = keras.Input((*SIZE, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.LayerNormalization(epsilon=1e-6)(
        keras.layers.Conv2D(8, 3, padding="same")(x)
    )
    x = keras.layers.Softmax()(keras.layers.Conv2D(8, 1)(x))
    network = keras.Model(image, keras.layers.Conv2D(3, 1)(x))
    path = tmp_path / "full.tflite"
    export_tflite(
        network,
        path,
        input_shape=SIZE,
        precision="int8_full",
        representative_data=scenes(SIZE, 2),
        min_agreement=0,
    )
    found = dict(fuzz(2, files, 0, path, "--folder", tmp_path))
    assert set(found) == {"none", "ModelFileError"}
    assert sum(map(int, found.values())) == files


@pytest.fixture(scope="module")
def onnx_files(tmp_path_factory):
    """Good .onnx files: a foreign one, floats and integers, with logits and a mask."""
    folder = tmp_path_factory.mktemp("onnx")
    onnx_file(folder / "foreign.onnx", colour_scores(SIZE))
    network, options = tiny_model(), {"input_shape": SIZE, "min_agreement": 0}
    for precision in ("float32", "float16"):
        path = folder / f"{precision}.onnx"
        export_onnx(network, path, precision=precision, **options)
    quantized = quantize_aware(
        network,
        representative_data=scenes(SIZE, 2),
        input_shape=SIZE,
        scheme="tensorrt",
    )
    path = folder / "int8.onnx"
    export_onnx(quantized, path, precision="int8", output="logits", **options)
    return sorted(folder.glob("*.onnx"))


@pytest.mark.slow
@pytest.mark.parametrize("files", [40, pytest.param(300, marks=pytest.mark.long)])
def test_damaged_onnx_files(files, onnx_files, tmp_path):
    found = dict(fuzz(3, files, 0, *onnx_files, "--folder", tmp_path))
    assert set(found) == {"none", "ModelFileError"}
    assert sum(map(int, found.values())) == files


def fuzz(*arguments):
    """Damage files in a process of its own; return (error, how often) pairs."""
    done = subprocess.run(
        [sys.executable, SCRIPT, *map(str, arguments)],
        env={
            "PYTHONPATH": str(SCRIPT.parents[1]),
            "PATH": "",
            "KERAS_FRM_CACHE": os.environ["KERAS_FRM_CACHE"],
        },
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return re.findall(r"'(\w+)': (\d+)", done.stdout)
