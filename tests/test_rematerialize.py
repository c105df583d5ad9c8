"""A training step that computes its activations twice."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import batch, tiny_backbone, tiny_model

from keras_frm import build_model
from keras_frm.backend.tensorflow.rematerialize import rematerialized
from keras_frm.layers import VAN, VANBlock


def block(drop_path=0.5, dtype=None):
    """Return a built block whose branches count for something."""
    layer = VANBlock(2, drop_path, layer_scale=1.0, dtype=dtype)
    layer.build((None, 6, 7, 4))
    return layer


def twin(layer):
    """Return a layer of the same weights and random state."""
    other = type(layer).from_config(layer.get_config())
    other.build((None, 6, 7, 4))
    for to, source in zip(other.variables, layer.variables, strict=True):
        to.assign(source)
    return other


def gradients_of(call, layer, x, eager):
    """Return the outputs of two calls and the gradients of their sum's square."""

    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = call(layer, call(layer, x))
            loss = tf.reduce_sum(tf.cast(y, tf.float32) ** 2)
        return y, tape.gradient(loss, [x, *layer.trainable_variables])

    return (run if eager else tf.function(run, autograph=False))(x)


def plain(layer, x):
    return layer(x, training=True)


def twice(layer, x):
    return rematerialized(layer, x, training=True)


@pytest.mark.parametrize("eager", [True, False], ids=["eager", "graph"])
@pytest.mark.parametrize(
    "dtype",
    [
        "float32",
        pytest.param("mixed_bfloat16", marks=pytest.mark.slow),
        pytest.param("mixed_float16", marks=pytest.mark.slow),
    ],
)
def test_outputs_gradients_and_states_are_those_of_a_plain_call(dtype, eager):
    layer = block(dtype=dtype)
    other = twin(layer)
    x = tf.cast(tf.random.stateless_normal((5, 6, 7, 4), (1, 2)), layer.compute_dtype)
    start = [v.numpy() for v in layer.non_trainable_variables]
    # In low precision the order of a sum shows; layer by layer it is the same order.
    tolerance = {"float32": 1e-5}.get(dtype, 2e-2)
    for _ in range(2):
        y, gradients = gradients_of(plain, layer, x, eager)
        z, others = gradients_of(twice, other, x, eager)
        np.testing.assert_allclose(y, z, tolerance, tolerance)
        for left, right in zip(gradients, others, strict=True):
            scale = float(np.abs(left).max()) + 1e-6
            np.testing.assert_allclose(left / scale, right / scale, 0, tolerance)
        for left, right in zip(
            layer.non_trainable_variables, other.non_trainable_variables, strict=True
        ):
            np.testing.assert_allclose(left, right, tolerance, err_msg=left.path)
    end = [v.numpy() for v in layer.non_trainable_variables]
    assert all((a != b).any() for a, b in zip(start, end, strict=True))


def test_weights_that_do_not_train_get_no_gradient():
    layer = block()
    layer.norm_1.trainable = False
    y, gradients = gradients_of(twice, layer, tf.ones((2, 6, 7, 4)), eager=False)
    assert len(gradients) == 1 + len(layer.trainable_variables)
    assert all(g is not None for g in gradients)
    assert np.isfinite(y).all()


@pytest.mark.long
def test_training_the_whole_network_is_the_same():
    images, labels = batch(size=(40, 48))
    models = []
    for rematerialize in (False, True):
        keras.utils.set_random_seed(1)
        backbone = tiny_backbone(drop_path_rate=0.5, rematerialize=rematerialize)
        model = tiny_model(num_classes=3, backbone=backbone)
        model.compile(keras.optimizers.SGD(0.05))
        models.append(model)
    models[1].set_weights(models[0].get_weights())
    for left, right in zip(
        models[0].non_trainable_variables,
        models[1].non_trainable_variables,
        strict=True,
    ):
        right.assign(left)
    for _ in range(3):
        losses = [model.train_on_batch(images, labels)[0] for model in models]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    for left, right in zip(models[0].variables, models[1].variables, strict=True):
        if left.path.startswith("frm_segmenter") or "backbone" in left.path:
            np.testing.assert_allclose(left, right, 1e-3, 1e-4, err_msg=left.path)


def test_inference_and_config():
    model = build_model("camvid", backbone="van_tiny", rematerialize=True)
    backbone = model.network.get_layer("backbone")
    assert backbone.rematerialize
    assert VAN.from_config(backbone.get_config()).rematerialize
    old = backbone.get_config()
    old.pop("rematerialize")
    assert not VAN.from_config(old).rematerialize


@pytest.mark.long
def test_a_file_trained_with_it_is_one_without_it(tmp_path):
    model = tiny_model(num_classes=3)
    model.network.get_layer("backbone").rematerialize = True
    images, labels = batch(size=(40, 48))
    model.compile(keras.optimizers.SGD(0.05))
    model.train_on_batch(images, labels)
    model.network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras", compile=False)
    expected = model.network.predict(images, verbose=0)
    np.testing.assert_allclose(loaded.predict(images, verbose=0), expected, 1e-5, 1e-5)
    assert tiny_backbone().get_config()["rematerialize"] is False
