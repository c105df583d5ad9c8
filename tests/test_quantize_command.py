"""`keras-frm quantize`: what it leaves behind, and the one line each mistake gives."""

import csv
import json
import shutil

import keras
import numpy as np
import pytest
from data_files import write_folder
from test_cli import camvid, keras_frm  # noqa: F401

from keras_frm import SegmentationModel, Segmenter
from keras_frm.labels import CAMVID
from keras_frm.layers import BilinearUpsampling
from keras_frm.quantization.aware import quantize_aware
from keras_frm.quantization.freeze import scheme_of
from keras_frm.runtime.tflite import metadata_zip
from keras_frm.training import run_folder

pytest.importorskip("tf_keras")

SIZE = (32, 48)
QUICK = ("--size", *SIZE, "--epochs", 1, "--batch-size", 2)
FILES = {"frm_float32.tflite", "frm_int8_after_training.tflite"}
TRAINED = {"best.keras", "final.keras", "last.keras", "log.csv", "frm_int8.tflite"}


def small_model(classes=11, preset="camvid"):
    """Return a model with a BatchNorm to fold and few tensors to round."""
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3), name="image")
    x = keras.layers.Rescaling(1 / 127.5, -1)(image)
    x = keras.layers.Conv2D(8, 3, 4, "same")(x)  # (B, H / 4, W / 4, 8)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.Conv2D(classes, 1, name="classifier")(x)
    network = keras.Model(image, BilinearUpsampling()(x, image))
    return SegmentationModel(network, preset)


def write_run(folder, model=None, **config):
    """Write what `keras-frm train` leaves, without training."""
    config = {"resize": list(SIZE), "preset": {"name": "camvid"}, **config}
    model = model or small_model()
    with run_folder.new_run(folder, config, CAMVID):
        run_folder.save_model(model.network, folder / run_folder.BEST)
        run_folder.save_model(model, folder / run_folder.LAST)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "float")


@pytest.fixture(scope="module")
def quantized(run, camvid, tmp_path_factory):  # noqa: F811
    """The folder of a training with a report, and what the command said."""
    out = tmp_path_factory.mktemp("runs") / "int8"
    done = keras_frm(
        *("quantize", run, "--data", camvid, *QUICK, "--out", out, "--report")
    )
    assert done.code == 0, done.err
    return out, done


@pytest.fixture
def trainings(monkeypatch):
    """Keep what would be trained; its weights are saved as they are."""
    calls = []

    def train(model, train_data, validation_data, folder, labels, *, epochs):
        calls.append((model, train_data, epochs))
        run_folder.save_model(model.network, folder / run_folder.BEST)

    monkeypatch.setattr("keras_frm.training.train.train", train)
    return calls


@pytest.fixture
def no_files(monkeypatch):
    """Leave out files and comparison, where only the training matters."""
    monkeypatch.setattr("keras_frm.cli.quantize.export_files", lambda *_: [])
    monkeypatch.setattr("keras_frm.cli.quantize.compare_files", lambda *_: "")


def names_in(folder):
    return {path.name for path in folder.iterdir()}


def about_file(path):
    return metadata_zip.read(path.read_bytes())


def compared_files(folder):
    """Return the rows of the comparison."""
    lines = (folder / "benchmark.md").read_text().splitlines()
    return [line for line in lines if line.startswith("|") and ".tflite" in line]


# === What it leaves behind ===


def test_run_folder_with_three_files(quantized):
    folder, done = quantized
    assert names_in(folder) >= FILES | TRAINED | {"config.json", "benchmark.md"}
    for name in (*FILES, "frm_int8.tflite"):
        assert name in done.out
    assert len(compared_files(folder)) == 3
    assert str(folder) in done.out
    for name in (*FILES, "frm_int8.tflite"):
        about = about_file(folder / name)
        assert about.precision == ("float32" if "float32" in name else "int8")
        assert about.labels.classes == CAMVID.classes
    with open(folder / "log.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert {"loss", "contrastive", "val_mean_iou"} <= set(row)


def test_best_and_final_are_quantized_networks_of_the_runs_classes(quantized):
    folder, _ = quantized
    assert run_folder.trained_file(folder).name == "final.keras"
    for path in (folder, folder / "best.keras"):
        network, labels = run_folder.load_trained(path)
        assert scheme_of(network)
        assert labels.classes == CAMVID.classes
        assert network.output.shape == (None, *SIZE, 11)


def test_file_is_of_the_network_whose_ranges_were_measured_again(quantized):
    folder, _ = quantized
    network, _ = run_folder.load_trained(folder)
    images = np.random.default_rng(0).integers(0, 256, (4, *SIZE, 3), "uint8")
    graph = np.argmax(network.predict(images, verbose=0), -1)  # (4, H, W)
    file = Segmenter(folder / "frm_int8.tflite")
    masks = np.stack([file(image) for image in images])
    assert np.mean(masks == graph) > 0.99


def test_report_of_the_trained_file(quantized):
    folder, done = quantized
    for ending in ("csv", "txt", "png"):
        assert (folder / f"int8_tensors.{ending}").stat().st_size > 200
    with open(folder / "int8_tensors.csv", newline="") as file:
        rows = {row["name"]: float(row["snr_db"]) for row in csv.DictReader(file)}
    assert len(rows) >= 3
    assert 0 < min(rows.values()) < 80
    for name in rows:
        assert name in done.out


def test_settings_come_from_the_run_and_are_kept(run, quantized):
    config = json.loads((quantized[0] / "config.json").read_text())
    assert config["command"] == "quantize"
    assert config["run"] == str(run)
    assert (config["size"], config["resize"]) == (list(SIZE), list(SIZE))
    assert config["preset"]["name"] == "camvid"
    assert (config["preset"]["epochs"], config["preset"]["batch_size"]) == (1, 2)
    assert config["preset"]["recipe"]["learning_rate"] == pytest.approx(1e-4)


@pytest.mark.slow
def test_no_epochs_quantize_without_training(run, camvid, tmp_path):  # noqa: F811
    options = ("--data", camvid, "--epochs", 0, "--report", "--out", tmp_path / "out")
    done = keras_frm("quantize", run, *options)
    assert done.code == 0, done.err
    names = names_in(tmp_path / "out")
    assert names >= FILES | {"config.json", "benchmark.md"}
    assert names >= {f"int8_after_training_tensors.{e}" for e in ("csv", "txt", "png")}
    assert not names & TRAINED
    assert len(compared_files(tmp_path / "out")) == 2
    about = about_file(tmp_path / "out" / "frm_float32.tflite")
    assert about.input_size == SIZE  # the run's resize


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [0, 1])
def test_files_for_tensorrt(epochs, run, camvid, tmp_path):  # noqa: F811
    out = tmp_path / "out"
    options = (*QUICK, "--epochs", epochs, "--scheme", "tensorrt", "--out", out)
    done = keras_frm("quantize", run, "--data", camvid, *options)
    assert done.code == 0, done.err
    assert {path.name for path in out.glob("*.onnx")} == {
        "frm_float32.onnx",
        "frm_int8.onnx",
    }
    assert not list(out.glob("*.tflite"))
    assert (out / "benchmark.md").read_text().count(".onnx |") == 2
    network, labels = run_folder.load_trained(out)
    assert scheme_of(network) == "tensorrt"
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), "uint8")
    scores = network.predict(image[None], verbose=0)
    file = Segmenter(out / "frm_int8.onnx")
    assert np.mean(file(image) == scores[0].argmax(-1)) > 0.99
    assert file.labels.classes == labels.classes == CAMVID.classes


@pytest.mark.slow
def test_distillation_learns_from_the_float_network(
    run,
    camvid,  # noqa: F811
    trainings,
    tmp_path,
):
    options = ("--distil", "--freeze-after", 7, "--keep-float", "*upsampling*")
    done = keras_frm(
        *("quantize", run, "--data", camvid, *QUICK, "--out", tmp_path / "out"),
        *options,
    )
    assert done.code == 0, done.err
    ((model, train_data, epochs),) = trainings
    assert epochs == 1
    assert train_data(0).element_spec[0].shape == (2, *SIZE, 3)
    best, _ = run_folder.load_trained(run)
    teacher = model.teacher.get_weights()
    for left, right in zip(teacher, best.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)
    assert not scheme_of(model.teacher)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["distil"], config["freeze_after"]) == (True, 7)
    assert config["keep_float"] == ["*upsampling*"]


@pytest.mark.usefixtures("no_files")
def test_without_distillation_there_is_no_teacher(
    run,
    camvid,  # noqa: F811
    trainings,
    tmp_path,
):
    options = ("--learning-rate", 0.25, "--contrastive-weight", 0)
    done = keras_frm(
        *("quantize", run / "best.keras", "--preset", "camvid", "--data", camvid),
        *(*QUICK, *options, "--out", tmp_path / "out"),
    )
    assert done.code == 0, done.err
    ((model, _, _),) = trainings
    assert model.teacher is None
    assert model.contrastive_weight == 0
    assert float(model.optimizer.learning_rate) == pytest.approx(0.25)
    assert model.optimizer.use_ema


@pytest.mark.slow
def test_interrupted_training_leaves_its_last_epoch(
    run,
    camvid,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    def interrupt(self, epoch, logs=None):
        raise KeyboardInterrupt

    # Drawn after the weights are saved.
    monkeypatch.setattr("keras_frm.training.samples.Samples.on_epoch_end", interrupt)
    out = tmp_path / "out"
    done = keras_frm("quantize", run, "--data", camvid, *QUICK, "--out", out)
    assert done.code == 130
    assert "Traceback" not in done.err
    assert names_in(out) >= {"config.json", "last.keras", "best.keras"}
    assert not names_in(out) & FILES
    assert scheme_of(run_folder.load_trained(out)[0])


def test_interrupted_before_an_epoch_leaves_nothing(
    run,
    camvid,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_frm.training.train.train", interrupt)
    out = tmp_path / "out"
    done = keras_frm("quantize", run, "--data", camvid, *QUICK, "--out", out)
    assert done.code == 130
    assert not out.exists()


# === Mistakes ===


def quantize(tmp_path, *arguments):
    """Run the command into a folder that must not be there afterwards."""
    done = keras_frm("quantize", *arguments, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    return done


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (("--data", "/nowhere"), "no folder '/nowhere/train'"),
        (("--data", None), "give its folder"),
        (("--preset", "camvit"), "no preset 'camvit'. Choose one of: cityscapes"),
        (("--preset", "cityscapes"), "11 classes"),
        (("--preset", "synthetic"), "11 classes"),
        (("--batch-size", 99), "do not fill one batch of 99"),
        (("--batch-size", 0), "--batch-size"),
        (("--batch-size", -2), "--batch-size"),
        (("--epochs", -1), "--epochs"),
        (("--learning-rate", -0.1), "--learning-rate"),
        (("--learning-rate", "nan"), "--learning-rate"),
        (("--learning-rate", "inf"), "--learning-rate"),
        (("--contrastive-weight", -1), "--contrastive-weight"),
        (("--contrastive-weight", "nan"), "--contrastive-weight"),
        (("--freeze-after", -1), "--freeze-after"),
        (("--size", 0, 48), "at least 1"),
        (("--resize", 32, -48), "at least 1"),
        (("--scheme", "tensort"), "no scheme 'tensort'. Choose one of: litert"),
        (("--scheme", "tensorrt", "--report"), "--report is for scheme litert"),
        (("--float-depthwise",), "--float-depthwise is for scheme tensorrt"),
    ],
    ids=str,
)
def test_wrong_options(options, match, run, camvid, tmp_path):  # noqa: F811
    arguments = {"--data": (camvid,), "--batch-size": (2,), options[0]: options[1:]}
    flat = [
        part
        for name, values in arguments.items()
        if None not in values
        for part in (name, *values)
    ]
    assert match in quantize(tmp_path, run, *flat).only_line


def test_run_that_is_not_there(run, camvid, tmp_path):  # noqa: F811
    data = ("--data", camvid, "--batch-size", 2)
    for options in (data, (*data, "--preset", "camvid", "--size", *SIZE)):
        line = quantize(tmp_path, tmp_path / "gone", *options).only_line
        assert str(tmp_path / "gone") in line
    (tmp_path / "empty").mkdir()
    line = quantize(tmp_path, tmp_path / "empty", *options).only_line
    assert "no best.keras" in line
    damaged = tmp_path / "damaged.keras"
    damaged.write_bytes((run / "best.keras").read_bytes()[:500])
    assert "is damaged" in quantize(tmp_path, damaged, *options).only_line


def test_size_or_preset_that_nobody_says(run, camvid, tmp_path):  # noqa: F811
    file, data = run / "best.keras", ("--data", camvid, "--batch-size", 2)
    line = quantize(tmp_path, file, *data, "--preset", "camvid").only_line
    assert "--size" in line
    line = quantize(tmp_path, file, *data, "--size", *SIZE).only_line
    assert "pass --preset" in line
    moved = shutil.copytree(run, tmp_path / "run")
    (moved / "config.json").unlink()
    assert "--size" in quantize(tmp_path, moved, *data).only_line


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"resize": 3, "preset": {"name": "camvid"}}',
        '{"resize": [32], "preset": {"name": "camvid"}}',
        '{"resize": ["a", "b"], "preset": {"name": "camvid"}}',
        '{"resize": [32, 48], "preset": "camvid"}',
        '{"resize": [32, 48], "preset": {"name": ["camvid"]}}',
        '{"resize": [32, 48], "preset": {"name": "camvid"}}',
        "[" * 100_000,
    ],
    ids=range(9),
)
def test_damaged_config(text, run, camvid, tmp_path):  # noqa: F811
    damaged = shutil.copytree(run, tmp_path / "run")
    (damaged / "config.json").write_text(text)
    done = quantize(tmp_path, damaged, "--data", camvid, "--batch-size", 2)
    assert done.only_line


def test_out_that_holds_something(run, camvid, tmp_path):  # noqa: F811
    (tmp_path / "notes.txt").write_text("mine")
    done = keras_frm(
        "quantize", run, "--data", camvid, "--batch-size", 2, "--out", tmp_path
    )
    assert f"{tmp_path} is not empty" in done.only_line
    assert names_in(tmp_path) == {"notes.txt"}


@pytest.mark.parametrize("epochs", [0, 1])
def test_run_that_is_quantized_already(epochs, camvid, tmp_path):  # noqa: F811
    images = [np.zeros((*SIZE, 3), np.uint8)]
    model = quantize_aware(small_model(), representative_data=images, input_shape=SIZE)
    run = write_run(tmp_path / "run", model)
    options = ("--data", camvid, "--batch-size", 2, "--epochs", epochs)
    line = quantize(tmp_path, run, *options).only_line
    assert "quantised already" in line
    assert str(run) in line


def test_own_folder_of_other_classes(run, tmp_path):
    data = write_folder(tmp_path / "data", size=SIZE)
    write_folder(data, split="val", size=SIZE, count=2)
    options = ("--data", data, "--preset", "folder", "--batch-size", 2)
    line = quantize(tmp_path, run, *options).only_line
    assert "11 classes" in line
    assert "'folder'" in line


def test_damaged_image(run, camvid, tmp_path):  # noqa: F811
    data = shutil.copytree(camvid, tmp_path / "data")
    (data / "train" / "1.png").write_bytes(b"no image")
    done = quantize(tmp_path, run, "--data", data, *QUICK)
    assert "1.png" in done.line
