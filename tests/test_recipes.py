"""The recipes' commands are ones that `keras-frm` takes."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from keras_frm.cli.app import app
from keras_frm.presets import PRESETS

RECIPES = sorted((Path(__file__).parents[1] / "examples" / "recipes").glob("*.sh"))


def commands(recipe):
    """Return the arguments of every `keras-frm` command of a script."""
    text = recipe.read_text().replace("\\\n", " ")
    lines = re.findall(r"^keras-frm (.+)$", text, re.MULTILINE)
    return [shlex.split(line) for line in lines]


def test_there_is_a_recipe_for_each_dataset_of_real_images():
    names = {recipe.stem for recipe in RECIPES}
    assert names == set(PRESETS) - {"synthetic"}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_options_exist_and_have_the_right_kind(recipe):
    parsers = typer.main.get_command(app).commands
    (train, *rest) = commands(recipe)
    assert train[0] == "train"
    assert [name for name, *_ in rest] == ["evaluate"]
    for name, *arguments in (train, *rest):
        context = parsers[name].make_context(name, list(arguments))
        assert context.params["preset"] == recipe.stem


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipe_says_what_it_needs_and_what_to_expect(recipe):
    text = recipe.read_text()
    for heading in ("# Hardware: ", "# Result: "):
        assert heading in text
