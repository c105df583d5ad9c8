"""What README.md and docs/ show: commands that parse, code that compiles, names."""

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer

import keras_frm
from keras_frm.cli.app import app
from keras_frm.targets import precisions_of

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = typer.main.get_command(app).commands


def blocks(page, language):
    """Return the code blocks of a page in a language."""
    pattern = rf"^```{language}\n(.*?)^```"
    return re.findall(pattern, page.read_text(), re.MULTILINE | re.DOTALL)


def shown_commands():
    """Return the page and the line of each command in the shell blocks."""
    found = []
    for page in PAGES:
        for block in blocks(page, "sh"):
            lines = block.replace("\\\n", " ").splitlines()
            found += [
                (page.name, line) for line in lines if line.startswith("keras-frm")
            ]
    return found


@pytest.mark.parametrize(("page", "line"), shown_commands())
def test_shown_commands_parse(page, line):
    program, command, *arguments = shlex.split(line, comments=True)
    assert program == "keras-frm"
    # No command runs: this is what comes before.
    COMMANDS[command].make_context(command, arguments)


def test_every_command_is_shown():
    shown = {shlex.split(line)[1] for _, line in shown_commands()}
    texts = " ".join(page.read_text() for page in PAGES)
    assert set(COMMANDS) - shown == {"demo"}
    assert "make demo" in texts


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_shown_python_compiles(page):
    for block in blocks(page, "python"):
        tree = ast.parse(block)
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Attribute)
                and ast.unparse(node.value) == "keras_frm"
            ):
                assert node.attr in keras_frm.__all__


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_exist(page):
    text = page.read_text()
    named = re.findall(
        r"`((?:results|tests|examples|converters|keras_frm)/[\w./]+?)`", text
    )
    linked = re.findall(r"\]\((?!https?:|#)([^)#]+)\)", text)
    for name in named:
        assert (ROOT / name).exists(), name
    for name in linked:
        assert (page.parent / name).exists(), name


def test_options_that_a_text_names_exist():
    known = {
        option
        for command in COMMANDS.values()
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    known |= {"--debug", "--no-deps", "--only", "--system-site-packages"}
    for page in PAGES:
        for option in re.findall(r"`(?:[\w-]+ )*(--[\w-]+)", page.read_text()):
            assert option in known, f"{page.name}: {option}"


def test_every_public_name_has_its_place_in_the_api_pages():
    pages = "\n".join(page.read_text() for page in (ROOT / "docs" / "api").glob("*.md"))
    documented = re.findall(r"^::: keras_frm\.(\w+)$", pages, re.MULTILINE)
    assert sorted([*documented, "__version__"]) == sorted(keras_frm.__all__)
    assert "keras_frm.__version__" in pages


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text()
    for page in (ROOT / "docs").rglob("*.md"):
        assert str(page.relative_to(ROOT / "docs")) in navigation


def test_every_package_is_in_the_picture():
    from test_import_order import ORDER

    picture = (ROOT / "docs" / "architecture.svg").read_text()
    for name in ORDER:
        assert f">{name}</text>" in picture


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_every_precision_is_in_the_help_and_the_docs():
    (option,) = (p for p in COMMANDS["export"].params if p.name == "precision")
    devices = (ROOT / "docs" / "devices.md").read_text()
    for name in precisions_of("tflite"):
        assert name in re.split(r"\W+", option.help)
        assert f"| `{name}` |" in devices
