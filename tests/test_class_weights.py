"""Weights of classes from the command line: named, or balanced by the masks."""

import json

import numpy as np
import pytest
from test_cli import SMALL, camvid, keras_frm, quick_model  # noqa: F401

from keras_frm.cli.class_weights import COUNTED, named_weights
from keras_frm.data.class_balance import median_frequency_weights, square_root_weights
from keras_frm.labels import CAMVID


def test_median_frequency():
    # Class 0: 5 of 8 pixels, class 1: 1 of 4, class 2: 2 of 4; class 3 has none.
    masks = [np.array([[0, 0], [0, 1]]), np.array([[0, 0], [2, 2]])]
    weights = median_frequency_weights(masks, 4)
    assert weights == (0.5 / 0.625, 0.5 / 0.25, 1.0, 1.0)


def test_ignored_pixels_are_no_part_of_a_frequency():
    masks = [np.array([0, 1, 255, 255], np.uint8), np.full(4, 255, np.uint8)]
    assert median_frequency_weights(masks, 2) == (1.0, 1.0)
    with pytest.raises(ValueError, match="No mask has a labelled pixel"):
        median_frequency_weights(masks[1:], 2)


def test_square_root_of_all_labelled_pixels():
    # Class 0: 4 pixels, class 1: 1, class 2: 4; class 3 has none.
    masks = [np.array([[0, 0], [0, 1]]), np.array([[0, 2, 2, 2, 2, 255]])]
    assert square_root_weights(masks, 4) == (1.0, 2.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="No mask has a labelled pixel"):
        square_root_weights([np.full(4, 255)], 2)


def test_named_weights():
    names = CAMVID.classes
    assert named_weights(f"{names[3]}=0.5, {names[0]}=3", CAMVID)[:4] == (3, 1, 1, 0.5)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("lorry=2", "names 'lorry', which is no class. The classes: "),
        ("even", "must be balanced or sqrt, or names with weights"),
        ("{0}=-1", "0 or more"),
        ("{0}=nan", "0 or more"),
        ("{0}=1,", "such as road=1,car=2.5"),
    ],
)
def test_weights_with_a_mistake(text, match):
    with pytest.raises(ValueError, match=match):
        named_weights(text.format(CAMVID.classes[0]), CAMVID)


def recipe_of(folder):
    return json.loads((folder / "config.json").read_text())["preset"]["recipe"]


@pytest.mark.slow
@pytest.mark.parametrize("word", ["balanced", "sqrt"])
def test_weights_are_counted_once(word, quick_model, camvid, tmp_path, monkeypatch):  # noqa: F811
    run = tmp_path / "run"
    command = ("train", "--preset", "camvid", "--data", camvid, "--out", run, *SMALL)
    options = ("--class-weights", word, "--loss", "ohem")
    done = keras_frm(*command, *options)
    assert done.code == 0, done.err
    assert "class weights: " in done.out
    kept = recipe_of(run)
    assert kept["loss"] == "ohem"
    assert len(kept["class_weights"]) == CAMVID.num_classes
    assert len(set(kept["class_weights"])) > 1

    def counted(*_):
        raise AssertionError("counted again")

    for name in COUNTED.values():
        monkeypatch.setattr(f"keras_frm.data.class_balance.{name}", counted)
    for again in ((), options):
        done = keras_frm("train", "--out", run, *again)
        assert (done.code, done.err) == (0, "")
        assert "is finished" in done.out
    line = keras_frm("train", "--out", run, "--loss", "cross_entropy").only_line
    assert "preset.recipe.loss ohem, not cross_entropy" in line


def test_unknown_loss():
    done = keras_frm("train", "--loss", "dice")
    assert "cross_entropy, ohem" in done.only_line
