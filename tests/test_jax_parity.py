"""Trainings under JAX beside TensorFlow's, on the same weights, images and anchors."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import either_backend
import numpy as np
import pytest
from tiny import toy_model
from views import CASES, assert_same_views

from keras_frm.models.saving import load_model
from keras_frm.models.weights import load_weights

SCRIPT = Path(either_backend.__file__)
# `make check-jax` names the Python of an environment without TensorFlow.
PYTHON = os.environ.get("KERAS_FRM_JAX_PYTHON", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PYTHON and importlib.util.find_spec("jax") is None,
        reason="JAX is not installed; make check-jax has an environment with it",
    ),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("jax")


@pytest.fixture(scope="module")
def given():
    return either_backend.inputs()


@pytest.fixture(scope="module")
def made(given, folder):
    """Return what TensorFlow and what JAX make of all parts."""
    tensorflow = {
        name: part(given, folder)
        for name, part in either_backend.PARTS.items()
        if name != "opened"
    }
    # JAX starts from the same weights.
    weights = {**tensorflow["one_step"], **tensorflow["ten_steps"]}
    source, target = folder / "given.npz", folder / "made.npz"
    np.savez(source, **given, **{k: v for k, v in weights.items() if k[-1].isdigit()})
    done = subprocess.run(
        [
            PYTHON or sys.executable,
            SCRIPT,
            ",".join(either_backend.PARTS),
            source,
            target,
        ],
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "PYTHONPATH": f"{SCRIPT.parents[1]}:{SCRIPT.parent}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    jax = {name: {} for name in either_backend.PARTS}
    for name, array in np.load(target).items():
        part, _, key = name.partition("/")
        jax[part][key] = array
    return tensorflow, jax


def assert_close(made, part, prefix, rtol, atol):
    tensorflow, jax = (each[part] for each in made)
    assert tensorflow.keys() == jax.keys()
    names = [name for name in tensorflow if name.startswith(prefix)]
    assert names
    for name in names:
        np.testing.assert_allclose(
            jax[name], tensorflow[name], rtol, atol, err_msg=name
        )


def test_logits_losses_and_gradients_of_the_whole_network(made):
    assert_close(made, "one_step", "logits", 1e-5, 1e-5)
    assert_close(made, "one_step", "log/", 1e-5, 1e-6)
    assert made[0]["one_step"]["log/contrastive"] > 0
    gradients = [v for k, v in made[0]["one_step"].items() if k.startswith("gradient")]
    largest = max(np.abs(gradient).max() for gradient in gradients)
    assert_close(made, "one_step", "gradient/", 1e-4, 1e-5 * largest)


def test_ten_steps_of_fit(made):
    assert_close(made, "ten_steps", "log/", 1e-4, 1e-4)
    assert_close(made, "ten_steps", "trained/", 1e-4, 1e-4)
    assert_close(made, "ten_steps", "predicted", 1e-4, 1e-4)


def test_views_and_batches_of_arrays_on_the_device(made):
    tensorflow, jax = (each["views"] for each in made)
    names = {name.partition("/")[0] for name in tensorflow}
    assert len(names) == len(CASES) + 4  # two epochs of two batches
    for name in names:
        views, ids = (f"{name}/{kind}" for kind in ("images", "labels"))
        assert_same_views(jax[views], jax[ids], tensorflow[views], tensorflow[ids])


def test_weights_trained_under_jax_load_into_the_tensorflow_model(made, given, folder):
    expected = made[1]["saved"]
    model, other = load_model(folder / "jax.keras"), toy_model(either_backend.CLASSES)
    load_weights(other, folder / "jax.weights.h5")
    for each in (model, other):
        predicted = each.predict(given["images"], verbose=0)
        np.testing.assert_allclose(predicted, expected["predicted"], 1e-5, 1e-5)
    for i, variable in enumerate(model.optimizer.variables):
        np.testing.assert_array_equal(variable.numpy(), expected[f"optimizer/{i}"])


def test_weights_trained_under_tensorflow_load_into_the_jax_model(made):
    expected, found = made[0]["saved"], made[1]["opened"]
    for kind in ("from keras", "from h5"):
        np.testing.assert_allclose(found[kind], expected["predicted"], 1e-5, 1e-5)
    for name in (name for name in expected if name.startswith("optimizer")):
        np.testing.assert_array_equal(found[name], expected[name])
