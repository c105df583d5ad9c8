"""Networks, losses, metrics and optimizers on backends other than TensorFlow."""

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import other_backend
import pytest

import keras_frm
from keras_frm.backend import require_channels_last, require_tensorflow
from keras_frm.cli.app import error_message
from keras_frm.networks.registry import build_network

PACKAGE = Path(keras_frm.__file__).parent
SCRIPT = Path(other_backend.__file__)
# Keras' NumPy backend convolves with JAX.
needs_jax = pytest.mark.skipif(
    importlib.util.find_spec("jax") is None, reason="JAX is not installed"
)


def files_free_of_tensorflow():
    """Return the files whose packages run on every backend."""
    for package in ("layers", "losses", "metrics", "networks", "optimizers"):
        yield from sorted((PACKAGE / package).rglob("*.py"))
    yield from sorted((PACKAGE / "backend").glob("*.py"))


def imported(tree):
    """Return the modules that statements of a file import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_tensorflow_is_imported_in_its_own_place_only():
    files = list(files_free_of_tensorflow())
    assert len(files) > 30
    wrong = [
        f"{path.relative_to(PACKAGE)}: {module}"
        for path in files
        for module in imported(ast.parse(path.read_text()))
        if module.partition(".")[0] in ("tensorflow", "tf_keras")
    ]
    assert wrong == []


def test_forms_of_tensorflow_are_imported_where_they_are_chosen():
    """At the top of a file they would import TensorFlow on every backend."""
    wrong = [
        str(path.relative_to(PACKAGE))
        for path in files_free_of_tensorflow()
        for statement in ast.parse(path.read_text()).body
        if isinstance(statement, (ast.Import, ast.ImportFrom))
        for module in imported(ast.Module([statement], []))
        if module.startswith("keras_frm.backend.tensorflow")
    ]
    assert wrong == []


def with_backend(name):
    """Return an environment in which Keras runs on a backend."""
    path = f"{SCRIPT.parents[1]}:{SCRIPT.parent}"
    return {**os.environ, "KERAS_BACKEND": name, "PYTHONPATH": path}


def run(backend, parts, folder, arrays, fake_jax=False):
    """Return what a process with another backend makes of the arrays."""
    source, target = folder / "given.npz", folder / "made.npz"
    np.savez(source, **arrays)
    done = subprocess.run(
        [sys.executable, SCRIPT, ",".join(parts), source, target],
        env={**with_backend(backend), "FAKE_JAX": "yes" if fake_jax else ""},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(np.load(target))


def assert_same_results(backend, parts, folder, **options):
    given = other_backend.inputs()
    expected = {}
    for part in parts:
        expected |= other_backend.PARTS[part](given)
    made = run(backend, parts, folder, {**given, **expected}, **options)
    assert made.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(made[name], array, 1e-5, 1e-5, err_msg=name)


def test_losses_metrics_and_optimizers_without_tensorflow(tmp_path):
    parts = ("losses", "metrics", "optimizers")
    assert_same_results("numpy", parts, tmp_path, fake_jax=True)


@needs_jax
@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_all_parts_without_tensorflow(tmp_path, backend):
    assert_same_results(backend, tuple(other_backend.PARTS), tmp_path)


# === What needs TensorFlow, or channels last ===

WITH_OTHER_BACKEND = """
import sys
from other_backend import FakeJax
sys.meta_path.insert(0, FakeJax())
import keras, keras_frm
x = keras.Input((4, 4, 3))
model = keras.Model(x, keras.layers.Dense(2)(x))
for call in (
    lambda: keras_frm.SegmentationModel(model),
    lambda: keras_frm.export_tflite(model, 'x.tflite', input_shape=(4, 4)),
    lambda: keras_frm.quantize_aware(model, representative_data=[]),
):
    try:
        call()
    except ValueError as error:
        print(error)
"""


@pytest.mark.slow
def test_training_and_export_say_which_backend_they_need():
    done = subprocess.run(
        [sys.executable, "-c", WITH_OTHER_BACKEND],
        env=with_backend("numpy"),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 3, done.stderr
    for line in lines:
        assert "needs the TensorFlow backend, and Keras runs on 'numpy'" in line
        assert "KERAS_BACKEND=tensorflow" in line
    require_tensorflow("A test")  # the backend of this process


@pytest.mark.parametrize("module", ["torch", "jax"])
def test_a_backend_that_is_not_installed_is_named(module):
    """Keras cannot even be imported then."""
    error = ModuleNotFoundError(f"No module named '{module}'", name=module)
    line = error_message(error)
    assert f"another backend than TensorFlow ('{module}' is not installed)" in line
    assert "KERAS_BACKEND=tensorflow" in line


def test_what_fails_under_another_setting_is_no_bug(monkeypatch):
    error = AttributeError("'NoneType' object has no attribute 'shape'")
    assert "This is a bug" in error_message(error)
    with monkeypatch.context() as patched:
        patched.setattr(keras.backend, "backend", lambda: "jax")
        assert "needs the TensorFlow backend" in error_message(error)
    keras.config.set_image_data_format("channels_first")
    try:
        line = error_message(error)
    finally:
        keras.config.set_image_data_format("channels_last")
    assert "set_image_data_format('channels_last')" in line


def test_channels_first_is_refused():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="set_image_data_format"):
            build_network(5)
    finally:
        keras.config.set_image_data_format("channels_last")
    require_channels_last()
