"""The documented way from a trained float model to its int8 file, on each preset."""

import keras
import numpy as np
import pytest
from data_files import write_folder
from test_cli import write_camvid
from test_quantize_command import small_model

from keras_frm import (
    Segmenter,
    export_tflite,
    load_dataset,
    quantize_aware,
    recalibrate,
)

pytest.importorskip("tf_keras")

SIZE = (32, 48)  # of the file; no preset trains on crops of it
SCENE = (64, 128)  # a street does not fit into less


@pytest.fixture(
    scope="module",
    params=[
        "folder",
        pytest.param("camvid", marks=pytest.mark.slow),
        pytest.param("synthetic", marks=pytest.mark.slow),
    ],
)
def data(request, tmp_path_factory):
    """Name and folder of a dataset, options for a small part of it, and its classes."""
    root = tmp_path_factory.mktemp(request.param)
    if request.param == "synthetic":
        return "synthetic", None, {"count": 4}, 19
    if request.param == "camvid":
        return "camvid", write_camvid(root), {}, 11
    write_folder(root, split="val", count=2)
    return "folder", write_folder(root), {}, 3


def model_of(name, classes):
    return small_model(classes, "synthetic" if name == "synthetic" else "camvid")


def test_recipe(data, tmp_path):
    name, root, part, classes = data
    model = model_of(name, classes)
    size = SCENE if name == "synthetic" else SIZE

    images = load_dataset(name, root, "train", augment=False, batch_size=1, **part)
    sized = {"crop": size, "resize": size, **part}
    train = load_dataset(name, root, "train", batch_size=2, **sized)
    val = load_dataset(name, root, "val", batch_size=1, resize=size, **part)
    qat = quantize_aware(model, representative_data=images, input_shape=size)
    qat.compile()
    history = qat.fit(train, validation_data=val, epochs=1, shuffle=False, verbose=0)
    qat = recalibrate(qat, representative_data=images)
    report = export_tflite(
        qat,
        tmp_path / "int8.tflite",
        precision="int8",
        input_shape=size,
        representative_data=images,
        labels=train.labels,
    )

    assert np.isfinite(history.history["val_loss"]).all()
    assert report.agreement > 0.99
    image = next(images.as_numpy_iterator())[0][0]
    mask = Segmenter(report.path)(image)
    assert mask.shape == image.shape[:2]
    assert mask.max() < classes


# === Where the sizes do not fit ===


@pytest.fixture(scope="module")
def quantized():
    """A model of one size, compiled."""
    images = [np.full((*SIZE, 3), 100, np.uint8)]
    model = quantize_aware(small_model(), representative_data=images, input_shape=SIZE)
    model.compile()
    return model


@pytest.fixture(scope="module")
def camvid(tmp_path_factory):
    return write_camvid(tmp_path_factory.mktemp("camvid"))


def line_of(call):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        call()
    line = str(caught.value)
    assert "\n" not in line
    return line


def test_crops_of_another_size(quantized, camvid):
    train = load_dataset("camvid", camvid, "train", batch_size=2)
    line = line_of(lambda: quantized.fit(train, shuffle=False))
    assert "takes images of 32x48 pixels only and the training data has 352x480" in line
    assert "crop=(32, 48)" in line
    assert "input_shape to quantize_aware" in line


def test_arrays_of_another_size(quantized):
    images, labels = np.zeros((2, 64, 64, 3)), np.zeros((2, 64, 64))
    assert "has 64x64" in line_of(lambda: quantized.fit(images, labels))
    fitting = np.zeros((2, *SIZE, 3)), np.zeros((2, *SIZE))
    call = {"x": fitting[0], "y": fitting[1], "validation_data": (images, labels)}
    assert "validation data has 64x64" in line_of(lambda: quantized.fit(**call))


def test_validation_images_as_they_are(quantized, camvid):
    """Their size shows in the files only; a first epoch must not be lost over it."""
    train = load_dataset("camvid", camvid, "train", batch_size=2, crop=SIZE)
    val = load_dataset("camvid", camvid, "val", batch_size=1)
    epochs = []
    begun = keras.callbacks.LambdaCallback(on_epoch_begin=lambda *_: epochs.append(1))
    options = {"validation_data": val, "callbacks": [begun], "shuffle": False}
    line = line_of(lambda: quantized.fit(train, **options))
    assert not epochs
    assert "validation data has 36x48" in line
    assert "resize=(32, 48)" in line


def test_float_model_takes_any_size(camvid):
    model = small_model()
    model.compile()
    train = load_dataset("camvid", camvid, "train", batch_size=2, crop=(40, 40))
    val = load_dataset("camvid", camvid, "val", batch_size=1)
    history = model.fit(train, validation_data=val, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


@pytest.mark.parametrize("function", [quantize_aware, export_tflite])
def test_augmented_images_are_no_representative_data(function, camvid, tmp_path):
    train = load_dataset("camvid", camvid, "train", batch_size=2, crop=SIZE)
    place = (tmp_path / "a.tflite",) if function is export_tflite else ()
    line = line_of(
        lambda: function(
            small_model(), *place, representative_data=train, input_shape=SIZE
        )
    )
    assert "representative_data is augmented" in line
    assert "augment=False" in line
