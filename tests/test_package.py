"""What importing the package costs, and what it says when something is missing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import keras_frm
from keras_frm import missing_module_message

# Put before a script: the named modules are not to be found.
_BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in {blocked!r}:
            raise ModuleNotFoundError('No module named ' + name, name=name)
sys.meta_path.insert(0, Block())
"""

# What the base install lacks.
_TRAIN_EXTRA = (
    *("keras", "tensorflow", "tensorflow_model_optimization", "tf_keras"),
    *("tensorboard", "matplotlib", "PIL"),
)

_BROKEN_CV2 = """
import sys
class Broken:
    def find_spec(self, name, path=None, target=None):
        if name == 'cv2':
            raise ImportError('libGL.so.1: cannot open shared object file')
sys.meta_path.insert(0, Broken())
"""


def run(script, *arguments):
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def lines(text):
    """Return the lines, without what TensorFlow says while it loads."""
    noise = ("WARNING: All log messages", "I0000", "E0000", "W0000")
    return [line for line in text.splitlines() if not line.startswith(noise)]


# === Import ===


def test_import_loads_no_framework_and_is_quick():
    done = run(
        "import sys, time; start = time.perf_counter(); import keras_frm;"
        "print(time.perf_counter() - start);"
        "print({'keras', 'tensorflow', 'numpy', 'cv2', 'typer'} & set(sys.modules))"
    )
    seconds, loaded = done.stdout.splitlines()
    assert loaded == "set()"
    assert float(seconds) < 0.5


def test_runtime_and_labels_need_neither_keras_nor_tensorflow():
    done = run(
        _BLOCK.format(blocked=("keras", "tensorflow", "matplotlib", "PIL", "rich"))
        + "import keras_frm, keras_frm.runtime.draw, keras_frm.runtime.video\n"
        "print(keras_frm.LabelSet.__name__)"
    )
    assert done.stdout.strip() == "LabelSet", done.stderr


def test_every_public_name_resolves():
    for name in keras_frm.__all__:
        value = getattr(keras_frm, name)
        assert value is getattr(keras_frm, name)
        assert name in dir(keras_frm)
    assert keras_frm.build_model.__name__ == "build_model"
    assert keras_frm.metrics.MeanIoU.__name__ == "MeanIoU"


def test_unknown_name():
    with pytest.raises(AttributeError, match="no attribute 'segment'"):
        keras_frm.segment  # noqa: B018
    with pytest.raises(ImportError):
        from keras_frm import segment  # noqa: F401
    assert not hasattr(keras_frm, "segment")


def test_type_checkers_see_the_names_that_are_loaded():
    tree = ast.parse(Path(keras_frm.__file__).read_text())
    (block,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen = {}
    for statement in block.body:
        for name in statement.names:
            # Without `as` a name of a typed package is private to type checkers.
            assert name.asname == name.name
            module = statement.module
            if module == "keras_frm":
                module = f"keras_frm.{name.name}"
            seen[name.name] = module
    assert seen == keras_frm._PUBLIC
    assert Path(keras_frm.__file__).with_name("py.typed").is_file()


# === What is missing ===


@pytest.mark.parametrize("module", ["keras", "tensorflow"])
def test_api_without_the_train_extra(module):
    done = run(
        _BLOCK.format(blocked=(module,)) + "import keras_frm\n"
        "try: keras_frm.build_model\n"
        "except ImportError as error: print(error)"
    )
    (line,) = lines(done.stdout)
    assert f"'{module}'" in line
    assert "pip install 'keras_frm[train]'" in line


@pytest.mark.parametrize(
    ("blocked", "arguments"),
    [
        (_TRAIN_EXTRA, ["profile"]),
        (_TRAIN_EXTRA, ["train", "--data", "/nowhere"]),
        (_TRAIN_EXTRA, ["predict", "model.keras", "camera"]),
    ],
)
def test_command_without_the_train_extra(blocked, arguments, tmp_path, monkeypatch):
    (tmp_path / "model.keras").touch()
    monkeypatch.chdir(tmp_path)
    script = _BLOCK.format(blocked=blocked) + "from keras_frm.cli import main; main()"
    done = run(script, *arguments)
    (line,) = lines(done.stderr)
    assert done.returncode == 1
    assert line.startswith(f"keras-frm: keras_frm needs '{blocked[0]}'")
    assert "pip install 'keras_frm[train]'" in line
    assert done.stdout == ""


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["predict", "--help"], ["train", "--help"]]
)
def test_help_needs_the_base_install_only(arguments):
    script = _BLOCK.format(blocked=_TRAIN_EXTRA)
    done = run(script + "from keras_frm.cli import main; main()", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert keras_frm.__version__ in done.stdout or "Usage" in done.stdout


def test_a_mistake_is_one_line_in_the_base_install_too(tmp_path):
    script = _BLOCK.format(blocked=_TRAIN_EXTRA)
    done = run(
        script + "from keras_frm.cli import main; main()",
        *("predict", str(tmp_path / "absent.tflite"), str(tmp_path)),
    )
    (line,) = lines(done.stderr)
    assert done.returncode == 1
    assert "absent.tflite" in line


def test_opencv_without_libgl_names_the_headless_wheel():
    script = "import keras_frm\ntry: keras_frm.check_data\n"
    done = run(_BROKEN_CV2 + script + "except ImportError as error: print(error)")
    (line,) = lines(done.stdout)
    assert "libGL.so.1" in line
    assert "pip install opencv-python-headless" in line


def test_command_with_opencv_without_libgl(tmp_path):
    script = _BROKEN_CV2 + "from keras_frm.cli import main; main()"
    done = run(script, "check-data", str(tmp_path))
    (line,) = lines(done.stderr)
    assert done.returncode == 1
    assert "pip install opencv-python-headless" in line


def test_command_without_typer():
    script = (
        _BLOCK.format(blocked=("typer",)) + "from keras_frm.cli import main; main()"
    )
    done = run(script, "--help")
    (line,) = lines(done.stderr)
    assert done.returncode == 1
    assert line == "keras-frm: 'typer' is not installed. Run: pip install typer"


def test_missing_opencv_and_foreign_errors():
    missing = missing_module_message(ModuleNotFoundError("no", name="cv2"))
    assert "pip install opencv-python-headless" in missing
    # Not ours to explain: the error itself is shown.
    assert missing_module_message(ModuleNotFoundError("no", name="scipy")) is None
    assert missing_module_message(ImportError("cannot import name 'x'")) is None
