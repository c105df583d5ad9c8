"""Weights that come with the package: whole, with a licence, of one network."""

import json
import shutil

import keras
import numpy as np
import pytest
from data_files import write_image
from test_cli import keras_frm as command
from test_segmenter import about
from tflite_files import colour_mask
from tiny import weights_of

import keras_frm
from keras_frm import build_model
from keras_frm.labels import CAMVID
from keras_frm.models.weights import ClassifierLeftOut
from keras_frm.models.weights_h5 import save_half
from keras_frm.networks.frm import FRMNetwork
from keras_frm.networks.registry import NETWORKS
from keras_frm.presets import preset
from keras_frm.runtime.tflite.metadata_zip import attach
from keras_frm.training.run_folder import load_trained
from keras_frm.weights import shipped

LICENCE = "research use only."


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of weights of one small network, "streets", of CamVid's classes."""
    from hashlib import sha256

    folder = tmp_path_factory.mktemp("weights")
    keras.utils.set_random_seed(5)
    network = FRMNetwork("efficientnet_lite0", decoder_width=8, context=None)
    model = build_model("camvid", network=network)
    save_half(model.network, folder / "streets.weights.h5")
    content = attach(colour_mask(), about("mask"))
    (folder / "streets.tflite").write_bytes(content)
    (folder / "streets.md").write_text("# Streets\n")
    row = {
        "network": "tiny_lite0",
        "preset": "camvid",
        "classes": CAMVID.classes,
        "trained_on": "toys",
        "measured_on": "toys",
        "mean_iou": 0.5,
        "mean_iou_int8": 0.49,
        "licence": LICENCE,
        "default": True,
    }
    for kind, name in (("weights", "streets.weights.h5"), ("device", "streets.tflite")):
        row |= {kind: name}
        digest = sha256((folder / name).read_bytes()).hexdigest()
        row[f"{kind}_sha256"] = digest
    (folder / "shipped.json").write_text(json.dumps({"streets": row}))
    return folder, network, model


@pytest.fixture
def streets(folder, tmp_path, monkeypatch):
    """The package with these weights alone; returns its folder, a copy."""
    copy = shutil.copytree(folder[0], tmp_path / "weights")
    monkeypatch.setattr(shipped, "FOLDER", copy)
    monkeypatch.setattr("keras_frm.cli.weights.FOLDER", copy)
    monkeypatch.setitem(NETWORKS, "tiny_lite0", folder[1])
    shipped.shipped_weights.cache_clear()
    yield copy
    shipped.shipped_weights.cache_clear()


def damage(path):
    path.write_bytes(path.read_bytes()[:-1] + b"x")


# === Models ===


def test_name_builds_its_network_with_its_weights(folder, streets):
    with pytest.warns(shipped.LicenceNotice, match=f"'streets': {LICENCE}"):
        model = build_model("camvid", weights="streets")
    kept = weights_of(folder[2])
    for path, value in weights_of(model).items():
        if "embedding" not in path and "seed_generator" not in path:
            np.testing.assert_allclose(value, kept[path], rtol=1e-3, atol=1e-7)


@pytest.mark.filterwarnings("ignore::keras_frm.weights.shipped.LicenceNotice")
@pytest.mark.parametrize("count", [19, 11])
def test_other_classes_leave_the_classifier_out(folder, streets, count):
    chosen = preset("cityscapes")
    if count == 11:  # as many as CamVid has, and not the same
        names = ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k")
        labels = keras_frm.LabelSet("own", names, CAMVID.palette)
        chosen = chosen.with_changes(labels=labels)
    with pytest.warns(ClassifierLeftOut, match="'streets' have other classes"):
        model = build_model(chosen, weights="streets")
    ours, theirs = (
        m.network.get_layer("classifier").get_weights()[0] for m in (model, folder[2])
    )
    assert ours.shape[-1] == count
    assert ours.shape != theirs.shape or not np.allclose(ours, theirs, atol=1e-3)
    stems = (m.network.get_layer("backbone").stem.kernel for m in (model, folder[2]))
    np.testing.assert_allclose(*stems, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"decoder_width": 16}, "whose decoder_width is 8, not 16"),
        ({"backbone": "van_tiny"}, "whose backbone is 'efficientnet_lite0', not 'van"),
        ({"network": "frm"}, "belong to network 'tiny_lite0', whose backbone is"),
        ({"network": "other"}, "another one is asked for"),
    ],
    ids=str,
)
def test_another_network_is_an_error(streets, options, match, monkeypatch):
    import dataclasses

    @dataclasses.dataclass(frozen=True)
    class Other:
        width: int = 3

    monkeypatch.setitem(NETWORKS, "other", Other())
    with pytest.raises(ValueError, match=match) as error:
        build_model("camvid", weights="streets", **options)
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore::keras_frm.weights.shipped.LicenceNotice")
def test_options_of_the_training_are_free(streets):
    options = {"drop_path_rate": 0.3, "freeze_backbone": True}
    model = build_model("camvid", weights="streets", **options)
    backbone = model.network.get_layer("backbone")
    assert backbone.drop_path_rate == 0.3
    assert not backbone.trainable_weights


def test_damaged_file_is_refused(streets):
    damage(streets / "streets.weights.h5")
    with pytest.raises(ValueError, match=r"is damaged: .*Install keras_frm again"):
        build_model("camvid", weights="streets")
    (streets / "streets.weights.h5").unlink()
    with pytest.raises(ValueError, match=r"is gone\. Install"):
        build_model("camvid", weights="streets")


def test_weights_that_float16_does_not_hold(tmp_path):
    image = keras.Input((None, None, 3))
    network = keras.Model(image, keras.layers.Conv2D(2, 1)(image))
    network.layers[-1].kernel.assign(np.full((1, 1, 3, 2), 1e6))
    with pytest.raises(ValueError, match="float16 does not hold"):
        save_half(network, tmp_path / "large.weights.h5")
    assert not list(tmp_path.iterdir())


# === The runtime ===


def test_segmenter_without_a_path_takes_the_default(streets):
    image = np.zeros((20, 30, 3), np.uint8)
    for arguments in ((), ("streets",)):
        with pytest.warns(shipped.LicenceNotice, match=LICENCE):
            segmenter = keras_frm.Segmenter(*arguments)
        assert segmenter(image).shape == (20, 30)
        assert segmenter.path == streets / "streets.tflite"


@pytest.mark.usefixtures("no_weights")
def test_without_any_weights_a_model_must_be_named(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="No weights come with this version"):
        keras_frm.Segmenter()
    assert "No weights come" in command("weights").out
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "photo.jpg", (24, 32))
    assert "No model is given" in command("predict", "photo.jpg").only_line


def test_damaged_device_file_is_not_run(streets):
    damage(streets / "streets.tflite")
    with pytest.raises(ValueError, match="SHA-256"):
        keras_frm.Segmenter()


# === Commands ===


def test_predict_needs_no_model(streets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "photo.jpg", (24, 32))
    for model in ((), ("--model", "streets")):
        done = command("predict", "photo.jpg", *model)
        assert done.code == 0, done.err
        assert LICENCE in done.err
        assert ("the weights streets of the package" in done.err) == (not model)
    assert (tmp_path / "predictions/photo_overlay.png").is_file()
    done = command("predict", "phot.jpg")
    assert done.only_line.endswith("there is nothing at phot.jpg.")


def test_list_and_card(streets):
    done = command("weights")
    assert "tiny_lite0" in done.out
    assert "50.0%" in done.out
    assert f"streets: {LICENCE}" in done.out
    assert command("weights", "streets").out == "# Streets\n\n"
    assert "Choose one of: streets" in command("weights", "street").only_line
    assert "name which" in command("weights", "--out", "run").only_line


def test_run_folder_for_the_other_commands(streets, tmp_path):
    done = command("weights", "streets", "--out", tmp_path / "run")
    assert done.code == 0, done.err
    assert LICENCE in done.out
    assert (tmp_path / "run" / "card.md").read_text() == "# Streets\n"
    network, labels = load_trained(tmp_path / "run")
    assert labels == CAMVID
    assert network.output.shape[-1] == 11
    again = command("weights", "streets", "--out", tmp_path / "run")
    assert "is not empty" in again.line
