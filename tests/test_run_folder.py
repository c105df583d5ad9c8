"""A run folder read again: its settings, and its model to train further."""

import json
import shutil

import keras
import numpy as np
import pytest
from tiny import batch, toy_model

from keras_frm import SegmentationModel
from keras_frm.labels import CAMVID
from keras_frm.presets import preset
from keras_frm.training import run_folder

PRESET = preset("camvid")


def make_model(seed, contrastive_weight=1.0):
    """Return a model of camvid's classes with an embedding head of the usual size."""
    keras.utils.set_random_seed(seed)
    parts = toy_model(11).parts
    return SegmentationModel(parts, "camvid", contrastive_weight)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose best network is not the last one: folder, best, last."""
    folder = tmp_path_factory.mktemp("runs") / "float"
    best, last = make_model(1), make_model(2)
    config = {"resize": (32, 48), "preset": {"name": "camvid", "epochs": 3}}
    with run_folder.new_run(folder, config, CAMVID):
        run_folder.save_model(best.network, folder / run_folder.BEST)
        run_folder.save_model(last, folder / run_folder.LAST)
    return folder, best, last


def same(left, right):
    """Return whether two models or layers have the same weights."""
    pairs = zip(left.get_weights(), right.get_weights(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


# === load_trainable ===


def test_network_of_the_best_and_head_of_the_last(run):
    folder, best, last = run
    model, labels = run_folder.load_trainable(folder, PRESET)
    assert same(model.network, best.network)
    assert same(model.embedding_head, last.embedding_head)
    assert not same(model.network, last.network)
    assert labels.classes == CAMVID.classes


def test_loaded_model_trains(run):
    model, _ = run_folder.load_trainable(run[0], PRESET)
    model.compile()
    images, labels = batch(num_classes=11)
    logs = model.train_on_batch(images, labels, return_dict=True)
    assert 0 < logs["contrastive"] < 20
    assert not same(model.network, run[1].network)


def test_keras_file_alone_takes_the_presets_classes(run, tmp_path):
    folder, best, last = run
    alone = shutil.copy(folder / "best.keras", tmp_path / "alone.keras")
    model, labels = run_folder.load_trainable(alone, PRESET)
    assert same(model.network, best.network)
    assert not same(model.embedding_head, last.embedding_head)
    assert labels == CAMVID
    with pytest.raises(ValueError, match=r"11 classes .* 'cityscapes' has 19"):
        run_folder.load_trainable(alone, preset("cityscapes"))


def test_whole_model_in_a_file_is_taken_without_its_training(run):
    folder, _, last = run
    model, _ = run_folder.load_trainable(folder / "last.keras", PRESET)
    assert same(model.network, last.network)
    assert same(model.embedding_head, last.embedding_head)
    assert not model.compiled


def test_classes_come_from_the_run_not_from_the_preset(run):
    model, labels = run_folder.load_trainable(run[0], preset("cityscapes"))
    assert labels.classes == CAMVID.classes
    assert model.preset.labels.classes == CAMVID.classes
    assert model.num_classes == 11


def test_model_without_contrastive_loss_has_no_head(run, tmp_path):
    chosen = PRESET.with_changes(contrastive_weight=0.0, temperature=0.5)
    model, _ = run_folder.load_trainable(run[0], chosen)
    assert not hasattr(model, "embedding_head")
    assert model.temperature == 0.5
    folder = shutil.copytree(run[0], tmp_path / "run")
    run_folder.save_model(make_model(3, 0.0), folder / "last.keras")
    model, _ = run_folder.load_trainable(folder, PRESET)
    assert model.embedding_head.units == 256  # a new one


def test_head_of_another_size_is_kept(run, tmp_path):
    folder = shutil.copytree(run[0], tmp_path / "run")
    other = SegmentationModel(run[2].parts, PRESET, embedding_dim=7)
    run_folder.save_model(other, folder / "last.keras")
    model, _ = run_folder.load_trainable(folder, PRESET)
    assert same(model.embedding_head, other.embedding_head)


def test_run_without_a_last(run, tmp_path):
    folder = shutil.copytree(run[0], tmp_path / "run")
    (folder / "last.keras").unlink()
    model, _ = run_folder.load_trainable(folder, PRESET)
    assert same(model.network, run[1].network)
    assert not same(model.embedding_head, run[2].embedding_head)


@pytest.mark.parametrize("name", ["best.keras", "last.keras"])
def test_damaged_file_is_named(name, run, tmp_path):
    folder = shutil.copytree(run[0], tmp_path / "run")
    (folder / name).write_bytes((folder / name).read_bytes()[:300])
    with pytest.raises(ValueError, match="is damaged") as error:
        run_folder.load_trainable(folder, PRESET)
    assert str(folder / name) in str(error.value)


@pytest.mark.parametrize("name", ["gone", "gone.keras"])
def test_missing_run(name, tmp_path):
    with pytest.raises(FileNotFoundError, match=name):
        run_folder.load_trainable(tmp_path / name, PRESET)


# === load_settings ===


def test_settings_are_those_of_the_run(run):
    settings = run_folder.load_settings(run[0])
    assert settings["resize"] == (32, 48)
    assert settings["preset"] == {"name": "camvid", "epochs": 3}
    assert run_folder.load_settings(str(run[0])) == settings


def test_settings_of_a_run_without_resizing(tmp_path):
    (tmp_path / "config.json").write_text('{"resize": null, "command": "demo"}')
    settings = run_folder.load_settings(tmp_path)
    assert settings == {"resize": None, "command": "demo"}


def test_no_settings(run, tmp_path):
    assert run_folder.load_settings(tmp_path) == {}
    assert run_folder.load_settings(tmp_path / "gone") == {}
    assert run_folder.load_settings(run[0] / "best.keras") == {}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"3",
        b"[]",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        *(
            json.dumps(content).encode()
            for content in (
                {"resize": 32},
                {"resize": [32]},
                {"resize": ["a", "b"]},
                {"resize": {"height": 32}},
                {"resize": [None, 32]},
                {"resize": [0, 32]},
                {"preset": {"recipe": {"contrastive_weight": -1}}},
                {"preset": {"recipe": {"contrastive_weight": "1"}}},
                {"preset": "camvid"},
                {"preset": ["camvid"]},
                {"preset": None},
            )
        ),
    ],
    ids=range(17),
)
def test_damaged_settings(text, tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(text)
    with pytest.raises(ValueError, match="is damaged") as error:
        run_folder.load_settings(tmp_path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
