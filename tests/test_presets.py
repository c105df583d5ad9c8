"""The table of presets and the presets of one's own."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny import tiny_model, toy_model

from keras_frm import (
    LabelSet,
    Preset,
    Recipe,
    SegmentationModel,
    load_model,
    recipe,
    register_preset,
)
from keras_frm.networks.registry import build_parts
from keras_frm.optimizers.coupled_sgd import CoupledSGD
from keras_frm.presets import PRESETS, preset
from keras_frm.recipes import boundary_aware_loss

LABELS = LabelSet("two", ("floor", "wall"), ((0, 0, 0), (9, 9, 9)), ignore_label=7)


@pytest.fixture
def own(monkeypatch):
    """Return a preset of one's own; the table is put back."""
    monkeypatch.setattr("keras_frm.presets.registry.PRESETS", dict(PRESETS))
    return Preset(
        name="corridor",
        dataset="folder",
        labels=LABELS,
        crop=(32, 48),
        batch_size=2,
        epochs=3,
        recipe=Recipe(
            learning_rate=0.25,
            weight_decay=0.0,
            momentum=0.5,
            contrastive_weight=0.5,
            temperature=0.2,
        ),
    )


def test_papers_presets():
    cityscapes, bdd100k = preset("cityscapes"), preset("bdd100k")
    assert cityscapes.crop == (1024, 1024)
    assert bdd100k.crop == (720, 720)
    assert (cityscapes.batch_size, bdd100k.batch_size) == (16, 32)
    for paper in (cityscapes, bdd100k):
        assert paper.labels.num_classes == 19
        assert (paper.epochs, paper.network) == (300, "frm")
        recipe_of = paper.recipe
        assert (recipe_of.learning_rate, recipe_of.momentum) == (0.01, 0.9)
        assert (recipe_of.weight_decay, recipe_of.power) == (1e-4, 0.9)


@pytest.mark.parametrize(
    ("name", "steps"),
    [("ddrnet", 247), ("pidnet", 247), ("sfnet", 185), ("bialignnet", 185)],
)
def test_presets_of_the_peers(name, steps):
    chosen = preset(f"cityscapes_{name}")
    assert chosen.network.startswith(name)
    assert 2975 // chosen.batch_size == steps
    assert type(recipe(chosen)["loss"]).__name__ == "OhemCrossEntropy"
    parts = build_parts(19, chosen.network)
    named = {*chosen.recipe.auxiliary_losses, *chosen.recipe.auxiliary_weights}
    assert named <= parts.auxiliary.keys()
    model = SegmentationModel(parts, chosen)
    assert (model.boundary_aware_weight > 0) == (name in ("pidnet", "bialignnet"))
    assert model.contrastive_weight == 0


def test_preset_of_rtformer():
    chosen = preset("cityscapes_rtformer")
    assert abs(2975 // chosen.batch_size * chosen.epochs - 120_000) < 247
    found = recipe(chosen)
    assert type(found["loss"]).__name__ == "CrossEntropy"
    assert type(found["optimizer"]).__name__ == "AdamW"
    parts = build_parts(19, chosen.network)
    backbone = {weight.path for weight in parts.variables_of("backbone")}
    slower = ("stem_", "stage_", "compression_3")
    for weight in parts.training_graph().trainable_weights:
        assert (weight.path in backbone) == weight.path.startswith(slower)


@pytest.mark.parametrize(("kept", "expected"), [(None, 900), (30, 30)])
def test_pixels_near_a_boundary_that_are_kept(kept, expected):
    chosen = preset("cityscapes_bialignnet")
    chosen = chosen.with_changes(ohem_kept=900, boundary_kept=kept)
    assert boundary_aware_loss(chosen).min_kept == expected
    assert recipe(chosen)["loss"].min_kept == 900


@pytest.mark.parametrize("name", ["camvid_small", "cityscapes_small"])
def test_presets_for_little_hardware(name):
    chosen, large = preset(name), preset(name.removesuffix("_small"))
    assert (chosen.dataset, chosen.labels) == (large.dataset, large.labels)
    assert chosen.network == "frm_lite0"
    weights = chosen.recipe.class_weights
    assert len(weights) == chosen.labels.num_classes
    assert weights[chosen.labels.classes.index("road")] == min(weights)


def test_class_weights_are_of_the_presets_own_classes():
    chosen = preset("camvid_small")
    assert chosen.with_labels(chosen.labels) == chosen
    assert chosen.with_labels(LABELS).recipe.class_weights is None
    model = tiny_model(chosen, num_classes=3)
    assert model.preset.recipe.class_weights is None
    assert tiny_model(chosen).preset == chosen


@pytest.mark.parametrize("ask", [preset, tiny_model, recipe])
def test_wrong_name_lists_the_right_ones(ask):
    with pytest.raises(ValueError, match="no preset 'cityscape'") as error:
        ask("cityscape")
    for name in ("cityscapes", "bdd100k", "camvid", "synthetic", "register_preset"):
        assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_taken_name(own):
    register_preset(own)
    assert register_preset(own) is own  # the same one again does no harm
    with pytest.raises(ValueError, match="'corridor' already"):
        register_preset(dataclasses.replace(own, epochs=4))
    assert preset("corridor").epochs == 3


def test_registered_name_is_used_by_model_and_recipe(own):
    register_preset(own)
    assert preset("corridor") is own
    check_uses(own, "corridor")


def test_preset_object_needs_no_registration(own):
    assert preset(own) is own
    check_uses(own, own)


def check_uses(own, name):
    """Check that model and recipe take the preset's numbers."""
    model = tiny_model(name)
    assert model.num_classes == 2
    assert (model.contrastive_weight, model.temperature) == (0.5, 0.2)
    arguments = recipe(name)
    assert isinstance(arguments["optimizer"], CoupledSGD)
    assert float(arguments["optimizer"].learning_rate) == 0.25
    assert arguments["optimizer"].momentum == 0.5
    assert arguments["loss"].ignore_label == 7
    assert arguments["metrics"][0].num_classes == 2


def test_arguments_come_before_the_preset(own):
    model = tiny_model(own, num_classes=5, contrastive_weight=0.0, temperature=0.3)
    assert (model.num_classes, model.contrastive_weight) == (5, 0.0)
    assert model.temperature == 0.3
    assert recipe(own, num_classes=5)["metrics"][0].num_classes == 5


def test_model_of_an_unregistered_preset_trains_by_that_preset(own):
    model = tiny_model(own)
    model.compile()
    assert float(model.optimizer.learning_rate) == 0.25
    images = np.zeros((1, 32, 32, 3), np.uint8)
    labels = np.full((1, 32, 32), 7, np.uint8)  # all ignored
    assert (
        float(model.evaluate(images, labels, verbose=0, return_dict=True)["loss"]) == 0
    )


# === In files ===


def test_preset_and_recipe_go_through_json(own):
    chosen = own.with_changes(
        class_weights=(1.0, 2.0), auxiliary_weights={"early": 0.2}, network="toy"
    )
    for each in (chosen, preset("cityscapes"), preset("camvid")):
        config = json.loads(json.dumps(each.get_config()))
        assert Preset.from_config(config) == each


def test_changes_go_to_the_preset_or_to_its_recipe(own):
    changed = own.with_changes(epochs=9, momentum=0.0)
    assert (changed.epochs, changed.recipe.momentum) == (9, 0.0)
    assert changed.recipe.learning_rate == own.recipe.learning_rate
    with pytest.raises(TypeError, match="'speed'"):
        own.with_changes(speed=3)


@pytest.mark.slow
def test_model_of_an_unregistered_preset_works_in_a_new_process(own, tmp_path):
    """No preset of its name is registered there: classes and recipe are in the file."""
    model = toy_model(2, preset=own)
    model.compile()
    model.save(tmp_path / "model.keras")
    script = """
import sys
import keras_frm
model = keras_frm.load_model(sys.argv[1], compile=False)
model.compile()
print(float(model.optimizer.learning_rate), model.optimizer.momentum)
report = keras_frm.export_tflite(model, sys.argv[2], input_shape=(32, 48))
print(keras_frm.Segmenter(sys.argv[2]).labels)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, "model.keras", "file.tflite"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rates, labels = done.stdout.strip().splitlines()[-2:]
    assert rates == "0.25 0.5"
    assert "floor" in labels
    assert "wall" in labels


def test_edited_preset_is_not_replaced_by_the_registered_one(own, tmp_path):
    register_preset(own)
    edited = own.with_changes(learning_rate=0.125, epochs=7)
    toy_model(2, preset=edited).save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert loaded.preset == edited
    loaded.compile()
    assert float(loaded.optimizer.learning_rate) == 0.125
