import numpy as np
import pytest
from test_cli import keras_frm as command
from test_cli import write_camvid
from tflite_files import convert, int8_logits, uint8_mask
from tiny import toy_model

import keras_frm
from keras_frm.labels import LabelSet
from keras_frm.runtime.segmenter import Segmenter

SIZE = (36, 48)
CLASSES = LabelSet("five", tuple("abcde"), tuple((50 * n,) * 3 for n in range(5)))
RANDOM = np.random.default_rng(0)


def network(num_classes):
    """A network whose random weights give all classes."""
    model = toy_model(num_classes, preset="camvid").network
    model.set_weights([RANDOM.normal(size=w.shape) for w in model.weights])
    return model


def exported(model, path, size=SIZE):
    """Write a model as a float file with logits at the input's size."""
    path.write_bytes(convert(lambda x: model(x, training=False), 1, *size, 3))
    return path


def pairs(count, num_classes, size=SIZE):
    for _ in range(count):
        image = RANDOM.integers(0, 256, (*size, 3), dtype=np.uint8)
        label = RANDOM.integers(0, num_classes + 1, size).astype(np.uint8)
        yield image, np.where(label == num_classes, 255, label).astype(np.uint8)


@pytest.fixture(scope="module")
def camvid(tmp_path_factory):
    """A dataset of 36x48 pixels with 11 classes."""
    return write_camvid(tmp_path_factory.mktemp("camvid"))


@pytest.fixture(scope="module")
def camvid_models(tmp_path_factory):
    """One network as a .keras and as a .tflite file."""
    folder = tmp_path_factory.mktemp("models")
    model = network(11)
    model.save(folder / "net.keras")
    return folder / "net.keras", exported(model, folder / "net.tflite")


def test_a_float_file_scores_as_its_model(tmp_path):
    model = network(5)
    segmenter = Segmenter(exported(model, tmp_path / "net.tflite"))
    data = list(pairs(3, 5))
    expected = keras_frm.evaluate(model, data, labels=CLASSES)
    result = keras_frm.evaluate(segmenter, data, labels=CLASSES)
    assert np.count_nonzero(result.confusion.sum(axis=0)) > 2  # several classes
    # Sums in another order may tip a pixel between two classes.
    assert np.abs(result.confusion - expected.confusion).sum() <= 4
    assert result.mean_iou == pytest.approx(expected.mean_iou, abs=1e-3)
    assert result.labels is CLASSES
    assert result.images == 3


def test_images_of_other_sizes_have_masks_of_their_size(tmp_path):
    path = tmp_path / "int8.tflite"
    path.write_bytes(int8_logits())
    data = [*pairs(1, 3, (17, 31)), *pairs(1, 3, (64, 5))]
    result = keras_frm.evaluate(Segmenter(path), data)
    assert result.labels.num_classes == 3
    assert result.confusion.sum() == sum((label < 3).sum() for _, label in data)


def test_the_classes_must_be_as_many(tmp_path):
    path = tmp_path / "int8.tflite"
    path.write_bytes(int8_logits())
    with pytest.raises(ValueError, match=r"int8.tflite has 3 classes.*'five' has 5"):
        keras_frm.evaluate(Segmenter(path), pairs(1, 5), labels=CLASSES)


def test_a_mask_file_that_tells_no_classes_takes_any(tmp_path):
    path = tmp_path / "mask.tflite"
    path.write_bytes(uint8_mask())
    result = keras_frm.evaluate(Segmenter(path), pairs(1, 5), labels=CLASSES)
    assert result.confusion.shape == (5, 5)
    assert result.confusion.sum() > 0


def test_no_windows_or_scales_for_masks(tmp_path):
    path = tmp_path / "mask.tflite"
    path.write_bytes(uint8_mask())
    with pytest.raises(ValueError, match="no scores to average"):
        keras_frm.evaluate(Segmenter(path), pairs(1, 3), labels=CLASSES, flip=True)


def test_the_command_gives_the_table_of_the_model(camvid, camvid_models, tmp_path):
    tables = []
    for model in camvid_models:
        out = tmp_path / model.suffix[1:]
        options = ("--preset", "camvid", "--data", camvid, "--out", out)
        done = command("evaluate", model, *options)
        assert done.code == 0, done.err
        assert "pavement" in done.out
        lines = (out / "iou.csv").read_text().splitlines()
        tables.append([line.split(",") for line in lines])
    assert [row[0] for row in tables[0]] == [row[0] for row in tables[1]]
    scores = [
        [float(cell or -1) for row in table[1:] for cell in row[1:]] for table in tables
    ]
    np.testing.assert_allclose(*scores, atol=2e-3)


@pytest.mark.parametrize(
    "option",
    [
        ("--window", 16, 16),
        ("--stride", 8, 8),
        ("--scales", "0.5,1"),
        ("--flip",),
    ],
    ids=lambda option: option[0],
)
def test_the_command_averages_no_masks(option, camvid, camvid_models):
    options = ("--preset", "camvid", "--data", camvid)
    line = command("evaluate", camvid_models[1], *options, *option).line
    assert "net.tflite gives masks, which have no scores to average" in line


def test_the_command_with_a_mistake(camvid, camvid_models, tmp_path):
    options = ("--data", camvid, "--preset", "camvid")
    missing = command("evaluate", tmp_path / "none.tflite", *options)
    assert "no model file" in missing.line
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(camvid_models[1].read_bytes()[:-999])
    assert "damaged.tflite" in command("evaluate", damaged, *options).line
    other = tmp_path / "three.tflite"
    other.write_bytes(int8_logits())
    line = command("evaluate", other, *options).line
    assert "three.tflite has 3 classes" in line
    assert "'camvid' has 11" in line
