"""Weights of a whole network from `.keras` and `.weights.h5` files."""

import io
import json
import os
import shutil
import zipfile

import h5py
import keras
import numpy as np
import pytest
from tiny import auxiliary_model, batch, tiny_backbone, tiny_model, toy_model

from keras_frm import SegmentationModel, build_model
from keras_frm.layers import DepthToSpace
from keras_frm.models.saving import load_network
from keras_frm.models.weights import ClassifierLeftOut, load_weights


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A tiny model and its files: the model, the network, the network's weights."""
    folder = tmp_path_factory.mktemp("weights")
    keras.utils.set_random_seed(8)
    model = tiny_model()
    model.compile()
    model.save(folder / "model.keras")
    model.network.save(folder / "network.keras")
    model.network.save_weights(folder / "network.weights.h5")
    return model, folder


@pytest.fixture(scope="module")
def toy_file(tmp_path_factory):
    """The smallest file, for many damaged copies of it."""
    path = tmp_path_factory.mktemp("toy") / "toy.keras"
    toy_model().network.save(path)
    return path


def check_one_line(error, path):
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message


# === What fits ===


@pytest.mark.parametrize("name", ["model.keras", "network.keras", "network.weights.h5"])
def test_right_weights_predict_the_same(saved, name):
    model, folder = saved
    images, _ = batch()
    loaded = tiny_model(weights=folder / name)
    np.testing.assert_array_equal(loaded(images), model(images))
    fresh = tiny_model()
    assert np.abs(fresh(images) - model(images)).max() > 1e-3


@pytest.mark.parametrize("name", ["model.keras", "network.keras"])
def test_load_network_gives_the_plain_network(saved, name):
    model, folder = saved
    network = load_network(str(folder / name))
    assert len(network.weights) == len(model.network.weights)
    assert network.input_shape == (None, None, None, 3)
    images, _ = batch(count=1, size=(17, 23))
    np.testing.assert_array_equal(network(images), model(images))


def test_weights_go_into_another_precision(saved):
    model, folder = saved
    mixed = tiny_model(dtype="mixed_bfloat16", weights=folder / "network.keras")
    for left, right in zip(mixed.network.weights, model.network.weights, strict=True):
        np.testing.assert_array_equal(left.numpy(), right.numpy())


# === Other classes ===


def check_left_out(said, path, found, wanted):
    """Check that one line says what was left out."""
    (line,) = [str(w.message) for w in said if w.category is ClassifierLeftOut]
    assert f"{path} has {found} classes, not {wanted}" in line
    assert "all weights but the classifier's were loaded" in line
    assert "\n" not in line


@pytest.mark.parametrize("name", ["model.keras", "network.keras", "network.weights.h5"])
def test_other_classes_leave_out_the_classifier_alone(saved, name):
    model, folder = saved
    keras.utils.set_random_seed(5)
    fresh = tiny_model("cityscapes").network.get_layer("classifier").get_weights()
    keras.utils.set_random_seed(5)
    with pytest.warns(ClassifierLeftOut) as said:
        loaded = tiny_model("cityscapes", weights=folder / name)
    check_left_out(said, folder / name, 11, 19)
    for layer in loaded.network.layers:
        wanted = model.network.get_layer(layer.name).get_weights()
        if layer.name == "classifier":
            wanted = fresh
        for left, right in zip(layer.get_weights(), wanted, strict=True):
            np.testing.assert_array_equal(left, right, err_msg=layer.name)


@pytest.mark.parametrize("name", ["network.keras", "network.weights.h5"])
def test_other_classes_and_another_width_do_not_fit(saved, name):
    path = saved[1] / name
    with pytest.raises(ValueError, match=r"fit|another one") as error:
        build_model(
            "cityscapes", backbone=tiny_backbone(), decoder_width=16, weights=path
        )
    check_one_line(error, path)


def test_auxiliary_heads_of_a_model_are_loaded_too(tmp_path):
    keras.utils.set_random_seed(1)
    source = auxiliary_model(3)
    source.save(tmp_path / "model.keras")
    source.network.save(tmp_path / "network.keras")
    for name, has_heads in (("model.keras", True), ("network.keras", False)):
        loaded = auxiliary_model(3)
        load_weights(loaded, tmp_path / name)
        left, right = (
            [w.numpy() for layer in model.auxiliary_layers for w in layer.weights]
            for model in (loaded, source)
        )
        same = [np.array_equal(a, b) for a, b in zip(left, right, strict=True)]
        assert same[0] == has_heads
        for a, b in zip(loaded.network.weights, source.network.weights, strict=True):
            np.testing.assert_array_equal(a, b)


def test_auxiliary_classifiers_of_other_classes_are_left_out(tmp_path):
    source = auxiliary_model(3)
    source.save(tmp_path / "model.keras")
    other = auxiliary_model(5)
    with pytest.warns(ClassifierLeftOut) as said:
        load_weights(other, tmp_path / "model.keras")
    check_left_out(said, tmp_path / "model.keras", 3, 5)
    hidden, classifier = other.auxiliary_layers
    np.testing.assert_array_equal(hidden.kernel, source.auxiliary_layers[0].kernel)
    assert classifier.kernel.shape[-1] == 5


def pixel_network(num_classes):
    """Return a network of which each position at 1/4 makes the logits of 4x4 pixels."""
    image = keras.Input((32, 32, 3), name="image")
    x = keras.layers.Conv2D(6, 4, 4, name="stem")(image)
    x = keras.layers.Conv2D(16 * num_classes, 1, name="classifier")(x)
    network = keras.Model(image, DepthToSpace(4)(x))
    return SegmentationModel(network, "camvid", contrastive_weight=0.0)


@pytest.mark.parametrize("kind", ["network.keras", "network.weights.h5"])
def test_classifier_of_several_pixels_is_left_out(kind, tmp_path):
    source, other = pixel_network(3), pixel_network(5)
    save = (
        source.network.save if kind.endswith(".keras") else source.network.save_weights
    )
    save(tmp_path / kind)
    before = other.network.get_layer("classifier").get_weights()
    with pytest.warns(ClassifierLeftOut) as said:
        load_weights(other, tmp_path / kind)
    check_left_out(said, tmp_path / kind, 3, 5)
    after = other.network.get_layer("classifier").get_weights()
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)
    stem, loaded = (x.network.get_layer("stem") for x in (source, other))
    np.testing.assert_array_equal(loaded.kernel, stem.kernel)


# === What does not fit ===


@pytest.mark.parametrize("name", ["network.keras", "network.weights.h5"])
@pytest.mark.parametrize(
    "other", [{"context": "ppm"}, {"alignment": "flow"}, {"context": None}], ids=str
)
def test_another_network(saved, name, other):
    path = saved[1] / name
    with pytest.raises(ValueError, match=r"fit|another one") as error:
        tiny_model(**other, weights=path)
    check_one_line(error, path)


def test_nothing_is_loaded_from_another_network(saved):
    model = tiny_model(context="dappm")
    before = model.get_weights()
    with pytest.raises(ValueError, match="another one"):
        load_weights(model, saved[1] / "network.keras")
    for left, right in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("name", ["gone.keras", "gone.weights.h5", "gone.pth", "gone"])
def test_missing_path(name, tmp_path):
    model = toy_model()
    with pytest.raises(FileNotFoundError) as error:
        load_weights(model, tmp_path / name)
    check_one_line(error, tmp_path / name)
    with pytest.raises(FileNotFoundError):
        load_weights(model, tmp_path)  # a folder
    with pytest.raises(FileNotFoundError):
        load_network(tmp_path)


def test_unknown_kind(tmp_path):
    path = tmp_path / "model.h5"
    path.write_bytes(b"text")
    with pytest.raises(ValueError, match=r"\.keras, \.weights\.h5, \.pth") as error:
        load_weights(toy_model(), path)
    check_one_line(error, path)


# === What is damaged or hostile ===


def check_refused(path):
    model = toy_model()
    with pytest.raises(ValueError, match=r"toy|model") as error:
        load_weights(model, path)
    check_one_line(error, path)


def test_truncated_keras_file(toy_file, tmp_path):
    whole = toy_file.read_bytes()
    path = tmp_path / "toy.keras"
    for length in (*range(0, len(whole), len(whole) // 8), len(whole) - 1):
        path.write_bytes(whole[:length])
        check_refused(path)


def test_corrupt_member_of_a_keras_file(toy_file, tmp_path):
    for name in ("config.json", "model.weights.h5"):
        for content in (
            b"",
            b"{",
            b"[]",
            b'{"a": 1}',
            b"\x89HDF\r\n\x1a\n" + b"\0" * 90,
        ):
            path = tmp_path / "toy.keras"
            replace_member(toy_file, path, name, content)
            check_refused(path)


def test_foreign_files(tmp_path):
    path = tmp_path / "model.keras"
    for content in (b"", b"text", b"\x89HDF\r\n\x1a\n" + b"\0" * 900):
        path.write_bytes(content)
        check_refused(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("letter.txt", "hello")
    check_refused(path)


def test_truncated_h5(tmp_path):
    network = toy_model().network
    network.save_weights(tmp_path / "whole.weights.h5")
    whole = (tmp_path / "whole.weights.h5").read_bytes()
    path = tmp_path / "toy.weights.h5"
    for length in range(0, len(whole), len(whole) // 8):
        path.write_bytes(whole[:length])
        check_refused(path)


def test_h5_without_the_weights(toy_file, tmp_path):
    """A sound file with nothing in it must not leave the random weights."""
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        file.create_group("layers")
    path = tmp_path / "toy.weights.h5"
    path.write_bytes(memory.getvalue())
    check_refused(path)
    path = tmp_path / "toy.keras"
    replace_member(toy_file, path, "model.weights.h5", memory.getvalue())
    check_refused(path)


@pytest.mark.parametrize("which", [0, -1])
def test_h5_without_one_layer(which, tmp_path):
    path = tmp_path / "toy.weights.h5"
    toy_model().network.save_weights(path)
    with h5py.File(path, "a") as file:
        found = []
        file.visit(lambda name: found.append(name) if name.endswith("vars") else None)
        holding = [name for name in found if len(file[name])]
        del file[holding[which]]
    check_refused(path)


def replace_member(source, target, name, content):
    """Copy a zip file with other content in one member."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.namelist():
            new.writestr(member, content if member == name else old.read(member))


def test_lambda_layer_is_refused(tmp_path):
    marker = tmp_path / "marker"
    image = keras.Input((8, 8, 3))
    touch = keras.layers.Lambda(lambda x, path=str(marker): os.mkdir(path) or x)
    keras.Model(image, touch(image)).save(tmp_path / "model.keras")
    marker.rmdir()  # building the model has run it once
    with pytest.raises(ValueError, match=r"[Ll]ambda") as error:
        load_network(tmp_path / "model.keras")
    check_one_line(error, tmp_path / "model.keras")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("builtins", "eval"), ("subprocess", "Popen")],
)
def test_config_that_names_code_is_refused(module, name, toy_file, tmp_path):
    marker = tmp_path / "marker"
    with zipfile.ZipFile(toy_file) as archive:
        config = json.loads(archive.read("config.json"))
    evil = {"module": module, "class_name": name, "registered_name": None}
    argument = f"touch '{marker}'"
    for inside in (argument, {"command": argument}, {"args": argument, "shell": True}):
        config["config"]["layers"][1] |= {**evil, "config": inside}
        path = tmp_path / "model.keras"
        replace_member(toy_file, path, "config.json", json.dumps(config).encode())
        check_refused(path)
        assert not marker.exists()


def test_source_file_is_left_as_it_is(saved, tmp_path):
    path = tmp_path / "network.keras"
    shutil.copy(saved[1] / "network.keras", path)
    before = path.read_bytes()
    load_network(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
