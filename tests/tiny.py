"""Models and batches small enough to train in a test."""

import functools

import keras
import numpy as np

from keras_frm import SegmentationModel, build_model
from keras_frm.layers import VAN, BilinearUpsampling
from keras_frm.networks.contract import NetworkParts


def tiny_backbone(dtype=None, drop_path_rate=0.0, **kwargs) -> VAN:
    """Return a VAN of one narrow block a stage, by default without drop path."""
    return VAN(
        (8, 8, 16, 16),
        (2, 2, 2, 2),
        (1, 1, 1, 1),
        drop_path_rate=drop_path_rate,
        dtype=dtype,
        name="backbone",
        **kwargs,
    )


def tiny_model(
    name="camvid", *, dtype=None, backbone=None, **kwargs
) -> SegmentationModel:
    """Return the whole network on the tiny backbone, or on one like it."""
    return build_model(
        name,
        backbone=tiny_backbone(dtype) if backbone is None else backbone,
        decoder_width=8,
        embedding_dim=4,
        dtype=dtype,
        **kwargs,
    )


def toy_model(num_classes=3, *, dtype=None, **kwargs) -> SegmentationModel:
    """Return a network of two convolutions, for what only concerns the training."""
    image = keras.Input((None, None, 3), name="image")
    x = keras.layers.Rescaling(1 / 255, dtype=dtype)(image)
    features = keras.layers.Conv2D(
        6, 4, 4, activation="tanh", dtype=dtype, name="decoder"
    )(x)  # (B, H / 4, W / 4, 6)
    x = keras.layers.Conv2D(num_classes, 1, dtype="float32", name="classifier")(
        features
    )
    logits = BilinearUpsampling(dtype="float32")(x, image)
    parts = NetworkParts(image, logits, features, stride=4)
    return SegmentationModel(parts, embedding_dim=4, dtype=dtype, **kwargs)


def auxiliary_model(num_classes=3, *, dtype=None, **kwargs) -> SegmentationModel:
    """Return a network of stride 8 with an auxiliary head of two layers, "early"."""
    conv = functools.partial(keras.layers.Conv2D, dtype=dtype)
    image = keras.Input((None, None, 3), name="image")
    x = keras.layers.Rescaling(1 / 255, dtype=dtype)(image)
    early = conv(6, 4, 4, activation="relu", name="stem")(x)  # (B, H / 4, W / 4, 6)
    features = conv(8, 2, 2, activation="relu", name="body")(early)
    logits = conv(num_classes, 1, name="head")(features)  # (B, H / 8, W / 8, classes)
    auxiliary = conv(num_classes, 1, name="early_logits")(
        conv(5, 1, activation="relu", name="early_hidden")(early)
    )
    parts = NetworkParts(
        image,
        BilinearUpsampling(dtype="float32")(logits, image),
        features,
        auxiliary={"early": auxiliary},
        groups={"backbone": ("stem", "body"), "head": ("head",)},
        stride=8,
    )
    return SegmentationModel(parts, embedding_dim=4, dtype=dtype, **kwargs)


def batch(count=2, size=(16, 24), num_classes=3, ignored=True, seed=0):
    """Return images whose colour says the class, and labels with ignored pixels.

    Returns:
        (B, H, W, 3) uint8 and (B, H, W) uint8; classes come in blocks of 8x8 pixels.
    """
    random = np.random.default_rng(seed)
    height, width = size
    blocks = random.integers(0, num_classes, (count, -(-height // 8), -(-width // 8)))
    labels = blocks.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]
    palette = random.integers(0, 256, (num_classes, 3))
    images = palette[labels] + random.integers(-9, 10, (*labels.shape, 3))
    labels = labels.astype(np.uint8)
    if ignored:
        labels[:, :3] = 255
    return images.clip(0, 255).astype(np.uint8), labels


def weights_of(model) -> dict[str, np.ndarray]:
    """Return all weights of a model by path."""
    return {weight.path: weight.numpy() for weight in model.weights}


def assert_same_weights(model, other, rtol=1e-5, atol=1e-6):
    """Compare the weights of two models of one structure."""
    for left, right in zip(model.weights, other.weights, strict=True):
        np.testing.assert_allclose(
            left.numpy(), right.numpy(), rtol, atol, err_msg=left.path
        )


class Rates(keras.callbacks.Callback):
    """Note the learning rate before every step."""

    def __init__(self):
        super().__init__()
        self.rates = []

    def on_train_batch_begin(self, batch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate))
