"""The recipes' commands are ones that `keras-frm` takes."""

import os
import re
import shlex
import subprocess
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
    # Options of the script come last, where they replace its own.
    assert train.pop() == "$@"
    for name, *arguments in (train, *rest):
        context = parsers[name].make_context(name, list(arguments))
        assert context.params["preset"] == recipe.stem


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_recipe_says_what_it_needs_and_what_to_expect(recipe):
    text = recipe.read_text()
    for heading in ("# Hardware: ", "# Result: "):
        assert heading in text


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_further_options_reach_the_training_alone(recipe, tmp_path):
    said = tmp_path / "keras-frm"
    said.write_text('#!/bin/sh\nfor word; do printf "%s|" "$word"; done; echo\n')
    said.chmod(0o755)
    names = re.search(r"[a-z0-9]+\.sh (.+) \[OPTION", recipe.read_text())[1].split()
    done = subprocess.run(
        ["sh", recipe, *(f"a {name}" for name in names), "--cache", "b c"],
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    train, evaluate = (line.split("|")[:-1] for line in done.stdout.splitlines())
    assert train[-2:] == ["--cache", "b c"]
    assert evaluate[:2] == ["evaluate", "a RUN"]
    assert "--cache" not in evaluate
    for command in (train, evaluate):
        assert command[command.index("--data") + 1] == f"a {names[0]}"
    assert train[train.index("--out") + 1] == "a RUN"
