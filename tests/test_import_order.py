"""Imports point one way: the order written in CONTRIBUTING.md, held to the code."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "keras_frm"


def rules():
    """Return the order bottom to top, and what `runtime` imports at most."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    block = re.search(r"```imports\n(.*?)```", text, re.DOTALL)[1]
    order, exceptions = block.split("\n\n")
    leaves = re.search(r"^runtime imports only: (.*)$", exceptions, re.MULTILINE)[1]
    return order.split(), set(leaves.split())


ORDER, LEAVES = rules()


def imports(source):
    """Yield each dotted name that a source imports, those inside functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name their module in full"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def places(source):
    """Return the places of the order that a source imports from."""
    found = set()
    for name in imports(source):
        package, _, rest = name.partition(".")
        place = rest.partition(".")[0]
        if package == "keras_frm" and is_place(place):
            found.add(place)
    return found


def is_place(name):
    """Whether a name of keras_frm is a folder or file, and not a public function."""
    return (PACKAGE / name / "__init__.py").is_file() or (
        PACKAGE / f"{name}.py"
    ).is_file()


def files(place):
    folder = PACKAGE / place
    return (
        sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{place}.py"]
    )


def test_every_place_is_in_the_order_once():
    found = {
        path.stem
        for path in PACKAGE.iterdir()
        if path.is_dir() or path.suffix == ".py"
        if not path.name.startswith("_")
    }
    assert sorted(ORDER) == sorted(found)


@pytest.mark.parametrize("place", ORDER)
def test_imports_point_down(place):
    for path in files(place):  # it would hide which part is used
        assert "keras_frm" not in imports(path.read_text()), path
    below = {place, *ORDER[: ORDER.index(place)]}
    wrong = {
        f"{path.relative_to(ROOT)} imports {imported}"
        for path in files(place)
        for imported in places(path.read_text()) - below
    }
    assert wrong == set()


def test_runtime_needs_the_leaves_only():
    for path in files("runtime"):
        assert places(path.read_text()) <= {"runtime", *LEAVES}, path


def test_nothing_outside_uses_more_than_the_public_api():
    from keras_frm import _PUBLIC

    scripts = [
        *(ROOT / "converters").glob("*.py"),
        *(ROOT / "examples").rglob("*.py"),
    ]
    assert len(scripts) > 4
    for path in scripts:
        for name in imports(path.read_text()):
            if name.partition(".")[0] == "keras_frm":
                public = name.removeprefix("keras_frm").strip(".").partition(".")[0]
                allowed = {"", "cli", *_PUBLIC}
                assert public in allowed, f"{path.name}: {name}"


def test_an_import_inside_a_function_is_seen():
    source = (
        "def f():\n    from keras_frm.cli.app import run\n    import keras_frm.data"
    )
    assert places(source) == {"cli", "data"}
    assert places("from keras_frm import training, __version__\nimport os") == {
        "training"
    }
