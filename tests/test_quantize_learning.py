"""Training for int8 wins back what quantisation after training loses."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_frm import export_tflite, quantize_aware
from keras_frm.data.synthetic import render_scene
from keras_frm.layers import BilinearUpsampling

pytest.importorskip("tf_keras")

SIZE = (64, 128)
LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)


def scenes(first, count):
    pairs = [render_scene(first + i, seed=0, size=SIZE) for i in range(count)]
    images, labels = map(np.stack, zip(*pairs, strict=True))
    return images.astype("float32"), labels


def small_net():
    x = entry = keras.Input((*SIZE, 3), name="image")
    x = layers.Rescaling(1 / 127.5, -1)(x)
    x = layers.Conv2D(16, 5, 4, "same", activation="relu")(x)  # (B, H / 4, W / 4, 16)
    for dilation in (1, 2):
        x = layers.DepthwiseConv2D(
            3, padding="same", dilation_rate=dilation, activation="relu"
        )(x)
        x = layers.Conv2D(16, 1, activation="relu")(x)
    x = layers.Conv2D(19, 1, name="classifier")(x)
    return keras.Model(entry, BilinearUpsampling()(x, entry))


def train(model, data, epochs, rate):
    model.compile(keras.optimizers.Adam(rate), LOSS)
    model.fit(*data, batch_size=8, epochs=epochs, verbose=0)


def accuracy(model, data):
    """Share of the labelled pixels that get their class."""
    images, labels = data
    found = model.predict(images, batch_size=16, verbose=0).argmax(axis=-1)
    return np.mean((found == labels)[labels != 255])


@pytest.mark.slow
def test_training_wins_back_what_clipped_ranges_cost(tmp_path):
    """Ranges of scenes in fog clip those of clear days."""
    keras.utils.set_random_seed(0)
    data, unseen = scenes(0, 32), scenes(32, 16)
    model = small_net()
    train(model, data, 30, 1e-2)
    expected = accuracy(model, unseen)
    fog = 127 + 0.2 * (data[0][:16] - 127)

    trainable = quantize_aware(model, representative_data=fog)
    after_training = accuracy(trainable, unseen)
    assert after_training < expected - 0.06
    half = (expected + after_training) / 2
    train(trainable, data, 1, 0.0)  # ranges move, weights stay
    assert accuracy(trainable, unseen) < half

    train(trainable, data, 12, 5e-3)
    assert accuracy(trainable, unseen) > half
    report = export_tflite(
        trainable,
        tmp_path / "net.tflite",
        input_shape=SIZE,
        precision="int8",
        representative_data=unseen[0][:4],
    )
    assert report.agreement > 0.99
