"""The peer networks: trained by their recipes, in int8, and in every kind of file."""

import keras
import numpy as np
import pytest
from test_integer_arithmetic import assert_equal_numbers
from tiny import batch
from tiny_peers import TINY_PEERS

from keras_frm import build_model, export_onnx, quantize_aware
from keras_frm.backend.private_hooks import all_layers
from keras_frm.runtime.backends.network import open_network

SIZE = (64, 96)
every_peer = pytest.mark.parametrize("name", TINY_PEERS)


def model_of(name, **options):
    keras.utils.set_random_seed(0)
    network, preset = TINY_PEERS[name]
    return build_model(preset, network=network, **options)


def calibrated(model):
    """Give BatchNorms random factors and shifts, and the statistics of images."""
    random = np.random.default_rng(1)
    norms = [
        layer
        for layer in all_layers(model.network)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    for norm in norms:
        norm.gamma.assign(random.uniform(0.6, 1.4, norm.gamma.shape))
        norm.beta.assign(random.normal(0, 0.3, norm.beta.shape))
        norm.momentum = 0.0
    model.network(batch(4, SIZE)[0].astype("float32"), training=True)
    return model


def two_halves():
    """Return images that are darker on the left, and labels that say so."""
    images = batch(4, SIZE)[0]
    images[:, :, : SIZE[1] // 2] //= 2
    labels = np.full((4, *SIZE), 7, "uint8")
    labels[:, :, : SIZE[1] // 2] = 3
    return images, labels


@pytest.mark.slow
@every_peer
@pytest.mark.parametrize("contrastive_weight", [0.0, 0.1])
def test_recipe_trains(name, contrastive_weight):
    model = model_of(name, contrastive_weight=contrastive_weight, embedding_dim=8)
    model.compile(optimizer=keras.optimizers.Adam(2e-3))
    images, labels = two_halves()
    logs = model.fit(images, labels, batch_size=2, epochs=8, verbose=0).history
    assert ("contrastive" in logs) == (contrastive_weight > 0)
    for term in logs.keys() - {"skipped_steps", "mean_iou"}:
        assert np.all(np.isfinite(logs[term]))
    # This one is 0 until the first boundary is found.
    aware = np.array(logs.get("boundary_aware", 0.0))
    rest = np.array(logs["loss"]) - aware
    assert rest[-1] < rest[0]
    assert logs["cross_entropy"][-1] < 0.9 * logs["cross_entropy"][0]
    assert {f"aux_{x}" for x in model.parts.auxiliary} <= logs.keys()


@pytest.mark.slow
@every_peer
def test_int8_file_equals_the_trained_graph(name, tmp_path):
    model = calibrated(model_of(name))
    given = batch(6, SIZE)[0]
    trainable = quantize_aware(model, representative_data=given[:3], input_shape=SIZE)
    assert_equal_numbers(trainable, given, tmp_path)


@pytest.mark.slow
@every_peer
@pytest.mark.parametrize("size", [SIZE, (53, 75)])
def test_onnx_file_gives_the_networks_numbers(name, size, tmp_path):
    model = calibrated(model_of(name))
    given = batch(2, size)[0]
    path = tmp_path / "peer.onnx"
    export_onnx(model, path, input_shape=size, output="logits", min_agreement=0)
    network = open_network(path, 1)
    found = np.stack([network.run(image) for image in given])
    expected = np.asarray(model.network(given.astype("float32")))
    largest = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=2.5e-5 * largest)
