"""The library speaks Python, and the command line its options."""

import ast
import re
from pathlib import Path

import pytest

import keras_frm
from keras_frm.cli import words
from keras_frm.cli.words import with_options

PACKAGE = Path(keras_frm.__file__).parent
LIBRARY = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if PACKAGE / "cli" not in path.parents
]


OF_OTHER_PROGRAMS = {"--onnx", "--saveEngine", "--stronglyTyped", "--memPoolSize"}
OF_OTHER_PROGRAMS |= {"--system-site-packages"}


def texts(path):
    """Yield line and text of each string literal of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def test_library_never_speaks_in_options():
    spoken = [
        f"{path.relative_to(PACKAGE)}:{line}: {option.group()}"
        for path in LIBRARY
        for line, text in texts(path)
        for option in re.finditer(r"(?<![\w-])--[a-z][\w-]*", text)
        if option.group() not in OF_OTHER_PROGRAMS
    ]
    assert not spoken


@pytest.mark.parametrize("phrase", words._OPTIONS)
def test_phrases_that_become_options_are_the_librarys(phrase):
    said = "\n".join(path.read_text(encoding="utf-8") for path in LIBRARY)
    # An error's sentence may be split over lines of source.
    assert phrase in re.sub(r'"\s+f?"', "", said)


def test_options_stand_in_the_place_of_pythons_words():
    few = "3 examples do not fill one batch of 8. Lower batch_size or pass "
    line = with_options(few + "drop_remainder=False.")
    assert line == "3 examples do not fill one batch of 8. Lower --batch-size."
    assert with_options("devices must be one") == "--devices must be one"
    assert with_options("nothing to replace") == "nothing to replace"
