"""Training steps that XLA compiles."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_cli import SMALL, camvid, keras_frm  # noqa: F401
from test_resume import quick_model
from tiny import batch, tiny_model

from keras_frm import recipe
from keras_frm.layers.blocks.resizing import resize_like


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("known", [True, False])
def test_resize_has_a_gradient(dtype, known):
    """XLA's own is float32, whatever is resized."""
    x = tf.cast(tf.random.stateless_normal((2, 3, 4, 5), (1, 2)), dtype)
    size = (2, 7, 9, 1) if known else (2, None, None, 1)
    upstream = tf.cast(tf.random.stateless_normal((2, 7, 9, 5), (3, 4)), dtype)

    def value_and_gradient(x, reference):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = resize_like(x, reference)
        return y, tape.gradient(y, x, upstream)

    signature = [tf.TensorSpec(x.shape, dtype), tf.TensorSpec(size)]
    results = [
        tf.function(value_and_gradient, signature, jit_compile=compiled)(
            x, tf.zeros((2, 7, 9, 1))
        )
        for compiled in (True, False)
    ]
    for found, expected in zip(*results, strict=True):
        assert found.dtype == expected.dtype == dtype
        found, expected = (tf.cast(y, "float32") for y in (found, expected))
        np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-2)


@pytest.mark.long  # XLA compiles for a minute.
@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_whole_network_takes_the_same_steps(dtype):
    losses = []
    for compiled in (True, False):
        keras.utils.set_random_seed(0)
        model = tiny_model(dtype=dtype)
        arguments = recipe("camvid")
        arguments["optimizer"].gradient_accumulation_steps = 2
        model.compile(**arguments, jit_compile=compiled)
        history = model.fit(*batch(2, (32, 64), 11), epochs=3, verbose=0).history
        losses.append(history["cross_entropy"])
    np.testing.assert_allclose(*losses, rtol=1e-3)


@pytest.fixture
def run(camvid, tmp_path, monkeypatch):  # noqa: F811
    """Train with options; return what was said, the models and the settings."""
    models = []

    def build(chosen, **options):
        models.append(quick_model(chosen, **options))
        return models[-1]

    monkeypatch.setattr("keras_frm.models.build.build_model", build)

    def train(*options):
        done = keras_frm(
            *("train", "--preset", "camvid", "--data", camvid, "--out", tmp_path / "a"),
            *(*SMALL, "--epochs", 1, *options),
        )
        path = tmp_path / "a" / "config.json"
        return done, models, json.loads(path.read_text()) if path.exists() else None

    return train


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "compiled"), [(("--xla",), True), (("--no-xla",), False), ((), False)]
)
def test_command_compiles_the_step_or_not(option, compiled, run):
    done, models, settings = run(*option)
    assert done.code == 0, done.err
    assert [model.jit_compile for model in models] == [compiled]
    assert settings["xla"] == (compiled if option else None)
    assert settings["options"].get("xla") == settings["xla"]
    other = "--no-xla" if compiled else "--xla"
    line = run(other)[0].only_line
    assert f"was started with xla {settings['xla']}, not {not compiled}" in line


def test_command_refuses_xla_with_deterministic_operations(run):
    done, models, settings = run("--xla", "--deterministic")
    assert "--xla does not go together with --deterministic" in done.only_line
    assert (models, settings) == ([], None)
