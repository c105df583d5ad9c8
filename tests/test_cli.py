"""The commands, and the one line each mistake gives."""

import contextlib
import csv
import io
import os
import shutil
import sys

import numpy as np
import pytest
from data_files import write_folder, write_image, write_mask
from PIL import Image
from tiny import toy_model

from keras_frm import __version__
from keras_frm.cli.demo import remove_older_demo
from keras_frm.images.reading import read_image
from keras_frm.labels import CAMVID
from keras_frm.layers.backbones.van import VAN_VARIANTS
from keras_frm.training.run_folder import load_trained

SIZE = (32, 48)
SMALL = ("--resize", *SIZE, "--crop", *SIZE, "--epochs", 1, "--batch-size", 2)
TINY_VAN = {
    "embed_dims": (8, 8, 16, 16),
    "mlp_ratios": (2, 2, 2, 2),
    "depths": (1, 1, 1, 1),
}


class Done:
    """What a command did: exit code, standard output, standard error."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def line(self):
        """The one line that says what is wrong."""
        assert self.code == 1, (self.code, self.err)
        assert "Traceback" not in self.err
        *rest, line = self.err.strip().splitlines()
        assert not [other for other in rest if "keras-frm:" in other]
        assert line.startswith("keras-frm: ")
        return line

    @property
    def only_line(self):
        """The one line of a mistake that is found before anything is done."""
        assert self.err.strip().count("\n") == 0, self.err
        assert self.out == ""
        return self.line


def keras_frm(*arguments):
    """Run a command in this process."""
    from keras_frm.cli.app import run

    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["keras-frm", *map(str, arguments)])
        patch.setenv("COLUMNS", "200")
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run()
    return Done(code, out.getvalue(), err.getvalue())


def write_camvid(root, count=4, splits=("train", "val")):
    """Write a CamVid-like folder: blocks of classes, the colours of the palette."""
    random = np.random.default_rng(0)
    for split in splits:
        for n in range(count):
            ids = random.integers(0, 12, (6, 8)).repeat(6, 0).repeat(6, 1)  # 11: void
            ids = ids.astype(np.uint8)
            image = root / split / f"{n}.png"
            image.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(CAMVID.colours()[ids]).save(image)
            write_mask(root / f"{split}annot" / f"{n}.png", value=ids)
    return root


@pytest.fixture(scope="module")
def camvid(tmp_path_factory):
    return write_camvid(tmp_path_factory.mktemp("camvid"))


@pytest.fixture(scope="module")
def trained(camvid, tmp_path_factory):
    """The run folder of `keras-frm train`, and what the command said."""
    folder = tmp_path_factory.mktemp("runs") / "camvid"
    options = ("--backbone", "van_tiny", "--decoder-width", 8, "--seed", 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VAN_VARIANTS, "van_tiny", TINY_VAN)
        done = keras_frm(
            *("train", "--preset", "camvid", "--data", camvid, "--out", folder),
            *(*SMALL, *options, "--contrastive-weight", 0.5),
        )
    assert done.code == 0, done.err
    return folder, done


@pytest.fixture
def quick_model(monkeypatch):
    """Let `train` build a network that needs no time, where another thing is tested."""

    def build(chosen, **_):
        return toy_model(chosen.labels.num_classes, preset=chosen)

    monkeypatch.setattr("keras_frm.models.build.build_model", build)


# === Demo ===


def write_demo(folder, command="demo"):
    """Write what a demo leaves, in a few bytes."""
    (folder / "checkpoints/000003").mkdir(parents=True)
    (folder / "samples").mkdir()
    (folder / "config.json").write_text(f'{{"command": "{command}"}}')
    for name in ("log.csv", "best.keras", "frm_int8.tflite", "benchmark.md"):
        (folder / name).write_text("old")
    (folder / "checkpoints/000003/state.json").write_text("{}")
    return folder


def test_demo_takes_the_place_of_an_older_one(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.txt").write_text("kept")
    folder = write_demo(tmp_path / "demo")
    (folder / f".{'0f' * 16}.last.keras").write_text("half a file")
    (folder / "tensorboard").symlink_to(elsewhere)
    remove_older_demo(folder)
    assert list(folder.iterdir()) == []
    assert (elsewhere / "mine.txt").read_text() == "kept"
    remove_older_demo(folder)  # of one that was killed before its first file
    remove_older_demo(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda folder: (folder / "notes.txt").write_text("mine"), "holds notes.txt"),
        (lambda folder: (folder / "config.json").unlink(), "is not of a demo"),
        (
            lambda folder: (folder / "config.json").write_text('{"command": "train"}'),
            "is not of a demo",
        ),
    ],
    ids=["own file", "no config", "training"],
)
def test_demo_removes_nothing_else(tmp_path, spoil, match):
    folder = write_demo(tmp_path / "demo")
    spoil(folder)
    before = sorted(folder.rglob("*"))
    done = keras_frm("demo", "--out", folder)
    assert match in done.only_line
    assert "--out" in done.only_line
    assert sorted(folder.rglob("*")) == before


# === The commands as a whole ===


def test_version_and_help():
    assert keras_frm("--version").out.strip() == __version__
    done = keras_frm("--help")
    assert done.code == 0
    for command in ("demo", "train", "evaluate", "predict", "check-data", "profile"):
        assert command in done.out
        assert keras_frm(command, "--help").code == 0


def test_no_command_shows_the_help():
    done = keras_frm()
    assert "check-data" in done.out + done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["trian"], "trian"),
        (["train", "--epoch", "3"], "--epoch"),
        (["train", "--epochs", "many"], "--epochs"),
        (["train", "--epochs", "0"], "--epochs"),
        (["train", "--crop", "32"], "--crop"),
        (["predict"], "model"),
        (["train", "--resize", "0", "32"], "at least 1"),
        (["train", "--crop", "32", "-1"], "at least 1"),
        (["evaluate", "m.keras", "--resize", "0", "0"], "at least 1"),
        (["predict", "m.keras", "a.png", "--resize", "-5", "9"], "at least 1"),
        (["profile", "--size", "0", "64"], "at least 1"),
    ],
    ids=str,
)
def test_wrong_arguments(arguments, match):
    assert match in keras_frm(*arguments).only_line


def test_interrupt(monkeypatch, camvid, tmp_path):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_frm.models.build.build_model", interrupt)
    done = keras_frm("train", "--preset", "camvid", "--data", camvid, *SMALL)
    assert done.code == 130
    assert "Traceback" not in done.err


# === Errors ===


@pytest.fixture
def failing(monkeypatch):
    """Let `profile` fail with a given exception; returns what the command said."""

    def fail(error, *options, environment=None):
        def raise_it(*_, **__):
            raise error

        monkeypatch.setattr("keras_frm.models.build.build_model", raise_it)
        if environment is not None:
            monkeypatch.setenv("KERAS_FRM_DEBUG", environment)
        return keras_frm(*options)

    return fail


@pytest.mark.parametrize("options", [("--debug", "profile"), ("profile", "--debug")])
def test_debug_shows_the_trace_wherever_it_stands(failing, options):
    done = failing(ValueError("no class 'cat'"), *options)
    assert done.code == 1
    assert "Traceback" in done.err
    assert "in raise_it" in done.err
    assert done.err.strip().splitlines()[-1] == "keras-frm: no class 'cat'"


@pytest.mark.parametrize(("value", "shown"), [("1", True), ("0", False), ("", False)])
def test_debug_by_the_environment(failing, value, shown):
    done = failing(OSError("no space"), "profile", environment=value)
    assert done.code == 1
    assert ("Traceback" in done.err) == shown


def test_more_lines_of_an_error_are_pointed_at(failing):
    done = failing(ValueError("shapes differ\n  (3, 4)\n  (4, 4)"), "profile")
    assert done.line == "keras-frm: shapes differ (run with --debug for more)"
    assert failing(ValueError("no class"), "profile").line == "keras-frm: no class"


@pytest.mark.parametrize(
    "error",
    [
        AttributeError("'NoneType' object has no attribute 'labels'"),
        KeyError("stage4"),
        RuntimeError("node 7\nfailed to prepare"),
        TypeError("unhashable"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_ours_is_called_a_bug(failing, error):
    done = failing(error, "profile")
    assert done.code == 1
    assert "Traceback" not in done.err
    first, second = done.err.strip().splitlines()[-2:]
    assert first.startswith(f"keras-frm: {type(error).__name__}: ")
    assert str(error).partition("\n")[0] in first
    assert "bug" in second
    assert "--debug" in second


def test_out_of_memory_is_no_bug(failing):
    import tensorflow as tf

    for error in (
        MemoryError(),
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"),
    ):
        line = failing(error, "profile").line
        assert "out of memory" in line
        assert "report it" not in line


def test_a_wrong_option_has_no_trace(failing):
    assert "--epoch" in keras_frm("train", "--epoch", 3, "--debug").only_line


# === train ===


def test_train_makes_a_run_folder(trained):
    folder, done = trained
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "log.csv", "best.keras", "last.keras"} <= names
    assert str(folder) in done.out
    assert "epoch 1: " in done.err
    assert "val_mean_iou" in done.err
    network, labels = load_trained(folder)
    assert labels.classes == CAMVID.classes
    assert network.get_layer("decoder").filters == 8
    assert network.get_layer("backbone").embed_dims == (8, 8, 16, 16)


def test_train_keeps_its_settings(trained):
    import json

    config = json.loads((trained[0] / "config.json").read_text())
    assert config["preset"]["recipe"]["contrastive_weight"] == 0.5
    assert config["preset"]["epochs"] == 1
    assert config["network"]["backbone"] == "van_tiny"
    assert (config["resize"], config["seed"]) == ([32, 48], 4)


def test_train_passes_weights_and_options_on(trained, camvid, tmp_path, monkeypatch):
    models = []
    monkeypatch.setitem(VAN_VARIANTS, "van_tiny", TINY_VAN)
    monkeypatch.setattr(
        "keras_frm.training.train.train", lambda model, *_, **__: models.append(model)
    )
    folder, _ = trained
    done = train(
        *(camvid, tmp_path / "run", "--weights", folder / "best.keras"),
        *("--decoder-width", 8, "--learning-rate", 0.25, "--contrastive-weight", 2),
        *("--precision", "mixed_bfloat16"),
    )
    assert done.code == 0, done.err
    network, _ = load_trained(folder)
    (model,) = models
    for left, right in zip(model.network.weights, network.weights, strict=True):
        np.testing.assert_array_equal(left.numpy(), right.numpy())
    assert model.contrastive_weight == 2
    # At step 0 of a hundred steps of warm-up.
    assert float(model.optimizer.learning_rate) == pytest.approx(0.25 / 100)
    assert model.network.get_layer("decoder").compute_dtype == "bfloat16"


def train(data, out, *options, preset="camvid"):
    return keras_frm(
        *("train", "--preset", preset, "--data", data, "--out", out),
        *(*SMALL, "--backbone", "van_tiny", *options),
    )


@pytest.mark.slow
def test_train_on_a_folder_of_ones_own(quick_model, tmp_path):
    data = write_folder(tmp_path / "data", size=SIZE)
    write_folder(data, split="val", size=SIZE, count=2)
    done = train(data, tmp_path / "run", preset="folder")
    assert done.code == 0, done.err
    assert load_trained(tmp_path / "run")[1].classes == ("road", "car", "sky")


@pytest.mark.slow
def test_classes_that_are_merged_stay_with_the_run(quick_model, camvid, tmp_path):
    merge = tmp_path / "merge.csv"
    merge.write_text("name,class\ncar,vehicle\nbicyclist,vehicle\nsky,ignore\n")
    run = tmp_path / "run"
    done = train(camvid, run, "--classes", merge)
    assert done.code == 0, done.err
    merge.unlink()
    labels = load_trained(run)[1]
    assert labels.num_classes == 9
    assert ("bicyclist", "vehicle") in labels.merges
    done = evaluate(run, camvid, "--out", tmp_path / "tables")
    assert done.code == 0, done.err
    rows = list(csv.DictReader((tmp_path / "tables/iou.csv").open()))
    assert "vehicle" in [row["class"] for row in rows]


def test_check_data_of_merged_classes(camvid, tmp_path):
    merge = tmp_path / "merge.csv"
    merge.write_text("name,class\ncar,vehicle\nbicyclist,vehicle\n")
    options = ("--preset", "camvid", "--classes", merge)
    done = keras_frm("check-data", camvid, *options)
    assert done.code == 0, done.err
    assert "vehicle" in done.out
    assert "bicyclist" not in done.out
    merge.write_text("name,class\nlorry,vehicle\n")
    line = keras_frm("check-data", camvid, *options).only_line
    assert "no class 'lorry'" in line


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"data": "/nowhere"}, "no folder '/nowhere/train'"),
        ({"preset": "camvit"}, "no preset 'camvit'. Choose one of: cityscapes"),
        ({"options": ("--backbone", "van_huge")}, "no backbone 'van_huge'"),
        ({"options": ("--context", "aspp")}, "no context module 'aspp'"),
        ({"options": ("--alignment", "cubic")}, "no alignment 'cubic'"),
        ({"options": ("--weights", "/nowhere.pth")}, "/nowhere.pth"),
        ({"options": ("--batch-size", 99)}, "do not fill one batch of 99"),
        ({"options": ("--precision", "float17")}, "float17"),
    ],
    ids=str,
)
def test_train_with_a_mistake(arguments, match, camvid, tmp_path):
    arguments = {"data": camvid, "preset": "camvid", "options": (), **arguments}
    options = arguments.pop("options")
    data = arguments.pop("data")
    done = train(data, tmp_path / "run", *options, **arguments)
    assert match in done.only_line
    assert list(tmp_path.iterdir()) == []


def test_train_without_data():
    assert "--data" in keras_frm("train", "--preset", "folder").only_line
    line = keras_frm("train", "--preset", "camvid", *SMALL).only_line
    assert "root" in line or "data" in line


def test_train_into_a_folder_that_is_not_empty(quick_model, camvid, trained):
    folder, _ = trained
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert f"{folder} is not empty" in train(camvid, folder, "--fresh").only_line
    assert {p.name: p.stat().st_mtime_ns for p in folder.iterdir()} == before


@pytest.mark.long
def test_train_with_weights_of_another_class_count(trained, tmp_path, monkeypatch):
    monkeypatch.setitem(VAN_VARIANTS, "van_tiny", TINY_VAN)
    data = write_folder(tmp_path / "data", size=SIZE)
    write_folder(data, split="val", size=SIZE, count=2)
    weights, out = trained[0] / "best.keras", tmp_path / "run"
    options = ("--weights", weights, "--decoder-width", 8)
    done = train(data, out, *options, preset="folder")
    assert done.code == 0, done.err
    (line,) = [line for line in done.out.splitlines() if str(weights) in line]
    assert "has 11 classes, not 3: all weights but the classifier's were loaded" in line
    assert load_trained(out)[0].output.shape[-1] == 3


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (("--network", "unet"), "no network 'unet'. Choose one of: frm, frm_table1"),
        (("--xla", "--deterministic"), "--xla does not go together"),
    ],
    ids=str,
)
def test_train_with_a_wrong_network(options, match, camvid, tmp_path):
    assert match in train(camvid, tmp_path / "run", *options).only_line
    assert not (tmp_path / "run").exists()


def test_train_takes_a_network_by_its_name(camvid, tmp_path, monkeypatch):
    import json

    models = []
    monkeypatch.setitem(VAN_VARIANTS, "van_tiny", TINY_VAN)
    monkeypatch.setattr(
        "keras_frm.training.train.train", lambda model, *_, **__: models.append(model)
    )
    done = train(
        *(camvid, tmp_path / "run", "--network", "frm_table1", "--decoder-width", 8),
        *("--freeze-backbone",),
    )
    assert done.code == 0, done.err
    (model,) = models
    assert model.network.get_layer("decoder").alignment == "flow"
    assert not model.network.get_layer("backbone").trainable_weights
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["preset"]["network"] == "frm_table1"
    assert config["network"]["alignment"] == "flow"


@pytest.fixture
def own_camvid(tmp_path):
    return write_camvid(tmp_path / "data")


def truncate(data, split):
    path = data / split / "1.png"
    path.write_bytes(path.read_bytes()[:-40])
    return path


def enlarge(data, split):
    return write_mask(data / f"{split}annot" / "1.png", (40, 48), 3)


def mislabel(data, split):
    return write_mask(data / f"{split}annot" / "1.png", (36, 48), 77)


def empty(data, split):
    path = data / f"{split}annot" / "1.png"
    path.write_bytes(b"")
    return path


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (truncate, "Cannot read"),
        (enlarge, "48x36 and its mask"),
        (mislabel, "ids that are not in the label table 'camvid': 77"),
        (empty, "it is empty"),
    ],
)
def test_bad_file_stops_a_training_with_its_name(
    spoil, match, split, quick_model, own_camvid, tmp_path
):
    path = spoil(own_camvid, split)
    done = train(own_camvid, tmp_path / "run")
    assert match in done.line
    assert str(path) in done.line
    assert not (tmp_path / "run").exists()


def test_images_without_any_label(own_camvid, tmp_path):
    shutil.rmtree(own_camvid / "trainannot")
    line = train(own_camvid, tmp_path / "run").only_line
    assert f"no folder '{own_camvid}/trainannot'" in line
    (own_camvid / "trainannot").mkdir()
    assert "No image has a mask" in train(own_camvid, tmp_path / "run").only_line
    assert not (tmp_path / "run").exists()


def test_one_image_without_a_label_is_left_out(quick_model, own_camvid, tmp_path):
    (own_camvid / "trainannot" / "2.png").unlink()
    with pytest.warns(UserWarning, match=r"without a mask: 2\.png"):
        assert train(own_camvid, tmp_path / "run").code == 0


def test_empty_data_folder(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "trainannot").mkdir()
    assert "No image has a mask" in train(tmp_path, tmp_path / "run").only_line


# === evaluate ===


def evaluate(model, camvid, *options):
    return keras_frm(
        *("evaluate", model, "--preset", "camvid", "--data", camvid, *options)
    )


def test_evaluate_prints_and_writes_the_table(trained, camvid, tmp_path):
    done = evaluate(trained[0], camvid, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    for name in (*CAMVID.classes, "mean"):
        assert name in done.out
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "iou.csv",
        "iou.md",
        "confusion.png",
    }
    with open(tmp_path / "out" / "iou.csv", newline="") as file:
        rows = {row["class"]: row for row in csv.DictReader(file)}
    assert set(rows) >= set(CAMVID.classes)
    assert f"{100 * float(rows['mean']['iou']):.2f}" in done.out


def test_evaluate_agrees_with_the_trainings_validation(trained, camvid, tmp_path):
    folder, _ = trained
    done = evaluate(folder, camvid, "--resize", *SIZE, "--out", tmp_path)
    assert done.code == 0, done.err
    with open(tmp_path / "iou.csv", newline="") as file:
        rows = {row["class"]: row for row in csv.DictReader(file)}
    with open(folder / "log.csv", newline="") as file:
        (log,) = csv.DictReader(file)
    expected = pytest.approx(float(log["val_mean_iou"]), abs=1e-3)
    assert float(rows["mean"]["iou"]) == expected


@pytest.mark.slow
def test_evaluate_by_windows_scales_and_mirror(trained, camvid):
    model = trained[0] / "best.keras"
    options = ("--window", 32, 32, "--stride", 16, 16, "--scales", "0.5,1", "--flip")
    done = evaluate(model, camvid, *options, "--split", "train")
    assert done.code == 0, done.err
    assert "mean" in done.out


def test_submission(tmp_path):
    folder = tmp_path / "data"
    for n in range(2):
        name = f"aachen_00000{n}_000019"
        write_image(folder / f"leftImg8bit/test/aachen/{name}_leftImg8bit.png", SIZE)
        write_mask(folder / f"gtFine/test/aachen/{name}_gtFine_labelIds.png", SIZE, 7)
    model = toy_model(19)
    model.network.save(tmp_path / "model.keras")
    done = keras_frm(
        *("evaluate", tmp_path / "model.keras", "--data", folder, "--split", "test"),
        *("--submission", tmp_path / "sent"),
    )
    assert done.code == 0, done.err
    assert sorted(path.name for path in (tmp_path / "sent").iterdir()) == [
        "aachen_000000_000019_pred_labelIds.png",
        "aachen_000001_000019_pred_labelIds.png",
    ]
    mask = np.array(Image.open(next((tmp_path / "sent").iterdir())))
    image = np.full((1, *SIZE, 3), 100, np.uint8)
    from keras_frm.evaluation.cityscapes_server import to_label_ids

    expected = to_label_ids(model.predict(image, verbose=0)[0].argmax(-1))
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (("--split", "holdout"), "holdout"),
        (("--scales", "0.5;1"), "--scales must be numbers"),
        (("--scales", "0"), "--scales must be numbers"),
        (("--submission", "sent"), "--preset cityscapes"),
        (("--preset", "cityscapes"), "no folder"),
        (("--preset", "bdd100k"), "11 classes"),
    ],
    ids=str,
)
def test_evaluate_with_a_mistake(options, match, trained, camvid, tmp_path):
    out = ("--out", tmp_path / "out")
    if "cityscapes" in options:  # wrong classes are found before wrong folders
        match = "11 classes"
    assert match in evaluate(trained[0], camvid, *options, *out).only_line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_weights")
@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_model_that_cannot_be_loaded(command, camvid, tmp_path):
    rest = ("--preset", "camvid")
    rest += ("--data", camvid) if command == "evaluate" else ()
    source = (camvid / "val",) if command == "predict" else ()
    line = keras_frm(command, tmp_path / "gone.keras", *source, *rest).only_line
    assert "gone.keras" in line
    line = keras_frm(command, tmp_path, *source, *rest).only_line
    assert f"{tmp_path} is no run folder" in line
    model = tmp_path / "model.keras"
    toy_model(11).network.save(model)
    whole = model.read_bytes()
    for damaged in (b"", b"text", whole[: len(whole) // 2], whole[:-1]):
        model.write_bytes(damaged)
        line = keras_frm(command, model, *source, *rest).only_line
        assert str(model) in line


# === check-data ===


def test_check_data_of_a_good_folder(tmp_path):
    data = write_folder(tmp_path / "data")
    done = keras_frm("check-data", data)
    assert done.code == 0, done.err
    assert "6 pairs" in done.out
    assert "no problems" in done.out
    for name in ("road", "car", "sky"):
        assert name in done.out
    assert keras_frm("check-data", data, "--split", "train").code == 0


def test_check_data_lists_every_kind_of_bad_file(tmp_path):
    data = write_folder(tmp_path / "data", count=7)
    images, masks = data / "images" / "train", data / "masks" / "train"
    (images / "000.png").write_bytes((images / "000.png").read_bytes()[:-20])
    write_mask(masks / "001.png", (20, 20))
    write_mask(masks / "002.png", value=9)
    (masks / "003.png").unlink()
    (images / "004.png").unlink()
    (masks / "005.png").write_bytes(b"")
    write_image(images / "[red]006.png")
    done = keras_frm("check-data", data)
    assert done.code == 1
    assert "Traceback" not in done.err
    rows = {
        "unreadable": ["000.png", "005.png"],
        "size mismatch": ["001.png"],
        "unknown ids": ["002.png"],
        "image without mask": ["003.png", "[red]006.png"],
        "mask without image": ["004.png"],
    }
    flat = " ".join(done.out.split())
    for problem, names in rows.items():
        assert flat.count(problem) >= len(names)
        for name in names:
            assert name.removesuffix(".png") in flat
    assert flat.count("class without pixels") == 2
    assert "9 problems" in done.out


def test_check_data_with_notes_alone_is_no_failure(tmp_path):
    data = write_folder(tmp_path / "data")
    done = keras_frm("check-data", data)
    assert done.code == 0
    (row,) = (x for x in done.out.splitlines() if x.startswith("mask of one value"))
    assert row.split()[4] == "6"
    assert "masks/train/000.png" in row


def test_check_data_draws_overlays(tmp_path):
    data = write_folder(tmp_path / "data")
    done = keras_frm("check-data", data, "--out", tmp_path / "look")
    assert done.code == 0
    assert read_image(tmp_path / "look/overlays.png").shape[0] > 700
    assert "images/train/005.png" in done.out.partition("row by row")[2]


def test_check_data_of_names_that_are_no_unicode(tmp_path):
    data = write_folder(tmp_path / "data")
    for part in ("images", "masks"):
        path = os.fsencode(data / part / "train/000.png")
        os.rename(path, path.replace(b"000", b"stra\xdfe [b]"))
    done = keras_frm("check-data", data, "--out", tmp_path / "look")
    assert done.code == 0
    assert "stra\\udcdfe [b].png" in done.out


def test_check_data_takes_a_share_for_val(tmp_path):
    data = write_folder(tmp_path / "data", count=20)
    done = keras_frm("check-data", data, "--split", "val")
    assert "pass --val-share 0.1" in done.line
    counts = [
        int(
            keras_frm(
                *("check-data", data, "--split", split, "--val-share", 0.3)
            ).out.split()[0]
        )
        for split in ("train", "val")
    ]
    assert sum(counts) == 20


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["/nowhere"], "no folder '/nowhere/images'"),
        (["/nowhere", "--preset", "camvid"], "no folder '/nowhere/train'"),
        (["/nowhere", "--preset", "kitti"], "kitti"),
    ],
    ids=str,
)
def test_check_data_with_a_mistake(arguments, match):
    done = keras_frm("check-data", *arguments)
    assert match in done.line


# === profile ===


def test_profile_prints_the_table(monkeypatch):
    monkeypatch.setitem(VAN_VARIANTS, "van_tiny", TINY_VAN)
    done = keras_frm("profile", "--backbone", "van_tiny", "--size", 64, 128)
    assert done.code == 0, done.err
    for part in ("backbone", "context", "decoder", "classifier", "total", "128x64"):
        assert part in done.out
    assert "the paper" not in done.out.split("Counted")[0]


def test_profile_stands_beside_the_paper():
    done = keras_frm("profile", "--alignment", "flow", "--size", 720, 1280)
    assert "the paper: 16.48 M, 94.55 GFLOPs" in done.out
    total = next(row.split() for row in done.out.splitlines() if "total" in row)
    assert float(total[1]) == pytest.approx(16.48, abs=0.005)
    assert float(total[2]) == pytest.approx(94.55, rel=0.01)


def test_profile_with_a_mistake():
    line = keras_frm("profile", "--backbone", "resnet").only_line
    assert "no backbone 'resnet'" in line
