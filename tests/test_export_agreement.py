"""A file that computes something else than its model is refused, a good one is not."""

import keras
import numpy as np
import pytest
from keras import layers
from tiny import batch

from keras_frm.export.agreement import sure_agreement
from keras_frm.export.report import ExportError
from keras_frm.export.tflite import export
from keras_frm.graph.graph import rebuild
from keras_frm.graph.layer_like import layer_like
from keras_frm.quantization.layers.fake_quant import FakeQuant
from keras_frm.targets import precisions_of

SIZE = (16, 24)
IMAGES, LABELS = batch(24, SIZE, ignored=False)


@pytest.fixture(scope="module")
def network():
    """A small network that tells the colours of the blocks apart."""
    keras.utils.set_random_seed(0)
    image = keras.Input((*SIZE, 3))
    x = layers.Rescaling(1 / 127.5, -1)(image)
    x = layers.Conv2D(8, 3, 2, "same", activation="relu", name="first")(x)
    x = layers.Conv2D(8, 3, 1, "same", activation="relu", name="second")(x)
    x = layers.LayerNormalization(epsilon=1e-6, name="norm")(x)
    x = layers.Conv2D(3, 1, name="classifier")(x)
    model = keras.Model(image, keras.ops.image.resize(x, SIZE))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss)
    model.fit(IMAGES.astype("float32"), LABELS, 4, epochs=12, verbose=0)
    found = model.predict(IMAGES.astype("float32"), verbose=0).argmax(-1)
    assert np.mean(found == LABELS) > 0.9
    return model


def exported(network, path, **options):
    options = {"input_shape": SIZE, "representative_data": IMAGES, **options}
    return export.export_tflite(network, path / "a.tflite", **options)


@pytest.mark.parametrize("precision", precisions_of("tflite"))
def test_good_file_passes(precision, network, tmp_path):
    report = exported(network, tmp_path, precision=precision)
    assert report.agreement > 0.95
    assert report.sure_agreement > 0.99
    assert report.images == 4


# === The number ===

SURE = np.array([[[[9.0, 0, 0], [0, 9, 0], [0, 9, 0], [0, 9, 0]]]])  # (1, 1, 4, 3)


def test_each_class_counts_the_same():
    """A class that covers everything must not hide that the others are lost."""
    masks = np.array([[[0, 1, 1, 1]]])
    assert sure_agreement(masks, SURE) == 1
    assert sure_agreement(np.array([[[1, 1, 1, 1]]]), SURE) == 0.5
    assert sure_agreement(np.array([[[0, 1, 1, 2]]]), SURE) == pytest.approx(5 / 6)


def test_near_ties_do_not_count():
    logits = np.array([[[[9.0, 0, 0], [0, 9, 0], [5, 5.01, 0]]]])
    assert sure_agreement(np.array([[[0, 1, 0]]]), logits) == 1
    assert sure_agreement(np.array([[[0, 0, 1]]]), logits) == 0.5
    assert sure_agreement(np.array([[[0, 1, 0]]]), 1000 * logits) == 1
    assert sure_agreement(np.array([[[0, 1, 0]]]), logits + 1000) == 1


def test_model_that_tells_nothing_apart():
    """All ties: there is nothing sure to go by, so every pixel counts."""
    logits = np.zeros((1, 1, 4, 3))
    assert sure_agreement(np.zeros((1, 1, 4)), logits) == 1
    assert sure_agreement(np.array([[[0, 0, 0, 1]]]), logits) == 0.75
    assert sure_agreement(np.zeros((1, 1, 4)), logits[..., :1]) == 1


# === Broken files ===


def shrunk_ranges(graph):
    """Return the graph with ranges that cut off most of each tensor."""
    small = {
        layer: FakeQuant(*(float(end) / 8 for end in layer.ends()), name=layer.name)
        for layer in graph.layers
        if isinstance(layer, FakeQuant) and not layer.name.startswith("input")
    }
    return rebuild(graph, dict(list(small.items())[1:]))


def permuted_channels(graph):
    """Return the graph with the classes of the last convolution in another order."""
    layer = graph.get_layer("classifier")
    rolled = [np.roll(weight, 1, axis=-1) for weight in layer.get_weights()]
    return rebuild(graph, {layer: layer_like(layer, rolled)})


def swapped_colours(graph):
    """Return the graph as it is for images in BGR."""
    image = keras.Input(batch_shape=graph.input.shape)
    return keras.Model(image, graph(image[..., ::-1]))


@pytest.mark.parametrize(
    ("broken", "precision"),
    [
        (shrunk_ranges, "int8"),
        (shrunk_ranges, "int8_full"),
        (permuted_channels, "int8"),
        (permuted_channels, "int8_full"),
        (swapped_colours, "int8"),
        (swapped_colours, "int8_full"),
    ],
)
def test_broken_file_is_refused(broken, precision, network, tmp_path, monkeypatch):
    make = export.device_graph
    monkeypatch.setattr(export, "device_graph", lambda *args: broken(make(*args)))
    with pytest.raises(ExportError, match="% of the sure pixels, below min_agreement"):
        exported(network, tmp_path, precision=precision)
    assert list(tmp_path.iterdir()) == []
