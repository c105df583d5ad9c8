"""The network and the trainable model: sizes, dtypes, variants, files."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny import assert_same_weights, batch, tiny_model, toy_model, weights_of

from keras_frm import SegmentationModel, build_model
from keras_frm.layers import VAN
from keras_frm.networks.registry import build_network
from keras_frm.presets import preset


@pytest.fixture(scope="module")
def model():
    """A tiny model whose weights are all random, so that every one shows."""
    keras.utils.set_random_seed(1)
    return tiny_model()


@pytest.fixture(scope="module")
def images():
    return batch(size=(45, 75))[0]


def parameters(network):
    return sum(np.prod(weight.shape) for weight in network.trainable_weights)


# === Parameters ===


@pytest.mark.parametrize(
    ("alignment", "context", "millions"),
    [
        ("bilinear", "frm", 16.43),
        ("flow", "frm", 16.48),
        ("flow", "ppm", 15.23),
        ("flow", "dappm", 15.98),
    ],
)
def test_papers_parameter_counts(alignment, context, millions):
    network = build_model(context=context, alignment=alignment).network
    assert parameters(network) / 1e6 == pytest.approx(millions, abs=0.005)


def test_embedding_head_is_the_only_weight_beside_the_network(model):
    names = {id(weight) for weight in model.network.weights}
    beside = [w for w in model.trainable_weights if id(w) not in names]
    assert [w.path.split("/")[-2] for w in beside] == ["embedding_head"] * 2


def test_no_head_without_contrastive_loss():
    model = tiny_model(contrastive_weight=0.0)
    assert parameters(model) == parameters(model.network)
    assert not any("embedding_head" in weight.path for weight in model.weights)


# === Wrong names ===


@pytest.mark.parametrize(
    ("arguments", "wrong", "right"),
    [
        (
            {"backbone": "van_huge"},
            "backbone 'van_huge'",
            "van_tiny, van_small, van_base, van_large",
        ),
        ({"context": "aspp"}, "context module 'aspp'", "frm, ppm, dappm, None"),
        ({"alignment": "nearest"}, "alignment 'nearest'", "bilinear, flow"),
        ({"num_classes": -1}, "num_classes", "at least 1"),
        ({"num_classes": 0}, "num_classes", "at least 1. Received: 0"),
        ({"network": "unet"}, "no network 'unet'", "frm, frm_table1"),
        ({"depth": 3}, "'frm' has no option 'depth'", "backbone, context, alignment"),
    ],
)
def test_wrong_name_lists_the_right_ones(arguments, wrong, right):
    with pytest.raises(ValueError, match=wrong) as error:
        build_model("camvid", **{"backbone": "van_tiny", **arguments})
    assert right in str(error.value)


def test_four_stages_are_needed():
    with pytest.raises(ValueError, match="four stages"):
        VAN((8, 8), (2, 2), (1, 1))


# === Inputs and outputs ===


def test_one_class_is_warned_of():
    with pytest.warns(UserWarning, match="Give the background a class of its own"):
        assert tiny_model(num_classes=1).num_classes == 1


def test_num_classes_and_input_shape():
    model = tiny_model(num_classes=5, input_shape=(32, 64, 3))
    assert model.num_classes == 5
    assert model.network.input_shape == (None, 32, 64, 3)
    assert model.network.output_shape == (None, 32, 64, 5)


@pytest.mark.parametrize("size", [(32, 64), (45, 75), (33, 1), (1, 1), (90, 160)])
def test_logits_have_the_images_size(model, size):
    logits = model(np.zeros((1, *size, 3), np.uint8))
    assert tuple(logits.shape) == (1, *size, 11)
    assert np.isfinite(logits).all()


def test_uint8_and_float_input_are_equal(model, images):
    logits = model(images)
    np.testing.assert_array_equal(logits, model(images.astype(np.float32)))
    assert np.std(logits) > 0


def test_normalisation_is_inside(model):
    layer = model.network.get_layer("normalization")
    np.testing.assert_allclose(
        layer(np.array([[[[123.675, 116.28 + 57.12, 103.53 - 57.375]]]])).numpy(),
        [[[[0, 1, -1]]]],
        atol=1e-5,
    )


def test_images_of_a_batch_are_independent(model, images):
    together = model(images).numpy()
    alone = [model(image[None])[0].numpy() for image in images]
    np.testing.assert_allclose(together, alone, atol=1e-4)
    assert np.abs(together[0] - together[1]).max() > 1e-3


def test_sizes_known_and_unknown_give_the_same(model, images):
    logits = tf.function(
        model,
        input_signature=[tf.TensorSpec((None, None, None, 3), tf.uint8)],
        autograph=False,
    )
    np.testing.assert_allclose(logits(images), model(images), atol=1e-4)
    np.testing.assert_allclose(logits(images[:1]), model(images[:1]), atol=1e-4)


def test_predict_is_the_network(model, images):
    predicted = model.predict(images, batch_size=1, verbose=0)
    np.testing.assert_allclose(predicted, model.network(images), atol=1e-4)
    assert predicted.dtype == np.float32


@pytest.mark.parametrize("context", ["frm", "ppm", "dappm", None])
@pytest.mark.parametrize("alignment", ["bilinear", "flow"])
def test_every_context_with_every_alignment(context, alignment, images):
    model = tiny_model(context=context, alignment=alignment)
    logits = model(images).numpy()
    assert logits.shape == (*images.shape[:3], 11)
    assert np.isfinite(logits).all()
    assert logits.std() > 0


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_keeps_weights_and_logits_in_float32(policy, images):
    model = tiny_model(dtype=policy)
    logits = model(images)
    assert logits.dtype == tf.float32
    assert tuple(logits.shape[1:3]) == images.shape[1:3]
    assert {str(w.dtype) for w in model.trainable_weights} == {"float32"}
    decoder = model.network.get_layer("decoder")
    assert decoder.compute_dtype == policy.removeprefix("mixed_")
    assert decoder.output.dtype == policy.removeprefix("mixed_")


def test_mixed_precision_predicts_nearly_as_float32(model, images):
    mixed = tiny_model(dtype="mixed_bfloat16")
    mixed.network.set_weights(model.network.get_weights())
    expected = model(images).numpy()
    difference = np.abs(mixed(images) - expected).max()
    assert 0 < difference < 0.1 * np.abs(expected).max()


# === Files ===


def test_network_file_holds_no_head(model, images, tmp_path):
    model.network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(images), model(images))
    assert len(loaded.weights) == len(model.network.weights)
    assert not any("embedding_head" in weight.path for weight in loaded.weights)


@pytest.mark.slow
def test_compiled_model_continues_from_its_file(tmp_path):
    images, labels = batch(size=(32, 32))
    keras.utils.set_random_seed(3)
    model = tiny_model(num_classes=3)
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    model.compile(optimizer, run_eagerly=True)
    model.train_on_batch(images, labels)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)

    assert isinstance(loaded, SegmentationModel)
    assert (loaded.preset, loaded.temperature) == (preset("camvid"), 0.1)
    np.testing.assert_array_equal(loaded(images), model(images))
    loaded.run_eagerly = True
    before = weights_of(model)
    for continued in (model, loaded):
        continued.train_on_batch(images, labels)
    assert_same_weights(loaded, model, rtol=1e-4, atol=1e-5)
    assert any(np.abs(weights_of(model)[k] - before[k]).max() > 1e-3 for k in before)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_momentum_is_in_the_file(momentum, tmp_path):
    """Would fail for 0.9 if the file kept the weights only."""
    images, labels = batch()
    model = toy_model()
    model.compile(keras.optimizers.SGD(0.1, momentum=momentum), run_eagerly=True)
    model.train_on_batch(images, labels)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert int(loaded.optimizer.iterations) == 1
    velocity = [v.numpy() for v in model.optimizer.variables]
    for left, right in zip(loaded.optimizer.variables, velocity, strict=True):
        np.testing.assert_array_equal(left, right)
    fresh = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    fresh.compile(keras.optimizers.SGD(0.1, momentum=momentum), run_eagerly=True)
    for each in (model, loaded, fresh):
        each.train_on_batch(images, labels)
    assert_same_weights(loaded, model)
    kernel = "classifier/kernel"
    moved = np.abs(weights_of(fresh)[kernel] - weights_of(model)[kernel]).max()
    assert (moved > 1e-4) == (momentum > 0)


def test_recipes_own_parts_survive_the_file(tmp_path):
    model = toy_model(preset="cityscapes", contrastive_weight=0.25, temperature=0.5)
    model.compile()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert (loaded.contrastive_weight, loaded.temperature) == (0.25, 0.5)
    assert loaded.optimizer.l2 == 1e-4
    assert loaded.optimizer.momentum == 0.9
    images, labels = batch()
    logs = loaded.evaluate(images, labels, verbose=0, return_dict=True)
    assert logs == model.evaluate(images, labels, verbose=0, return_dict=True)


def test_backbone_of_ones_own_survives_the_file(tmp_path):
    backbone = VAN((8, 16, 16, 32), (1, 2, 1, 2), (1, 2, 1, 1), name="backbone")
    network = build_network(2, backbone=backbone, context="ppm", decoder_width=8)
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    image = np.full((1, 40, 40, 3), 7.0, np.float32)
    np.testing.assert_array_equal(loaded(image), network(image))
    assert loaded.get_layer("backbone").depths == (1, 2, 1, 1)


def test_exported_model_serves_logits_without_the_head(tmp_path):
    model, (images, _) = toy_model(), batch()
    model.export(tmp_path / "saved", verbose=False)
    served = tf.saved_model.load(tmp_path / "saved")
    logits = served.serve(images.astype(np.float32))
    np.testing.assert_allclose(logits, model(images), atol=1e-5)
    assert not any("embedding_head" in v.name for v in served.variables)
    assert len(served.variables) == len(model.network.weights) == 4
