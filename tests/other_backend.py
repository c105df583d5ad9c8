"""What a backend that is not TensorFlow makes of layers, losses and metrics.

Run with KERAS_BACKEND set: `python other_backend.py PARTS FROM.npz TO.npz`. Imported by
a test, it gives what TensorFlow makes of the same.
"""

import importlib.abc
import importlib.machinery
import os
import sys
from unittest import mock

import numpy as np

CLASSES = 5


class FakeJax(importlib.abc.Loader):
    """Modules of JAX that can be imported and not used.

    Keras' NumPy backend imports JAX and needs it for convolutions and pooling only.
    """

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "jax":
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        options = {"__spec__": spec, "__path__": [], "__version__": "0.9.0"}
        return mock.MagicMock(**options, Array=type("Array", (), {}))

    def exec_module(self, module):
        pass


class NoTensorFlow:
    """Lets no module import TensorFlow."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "tensorflow":
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)


def inputs():
    """Return the arrays that every part starts from."""
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, (2, 8, 9))
    return {
        "image": random.uniform(0, 255, (1, 45, 64, 3)).astype("float32"),
        "labels": np.where(random.uniform(size=labels.shape) < 0.2, 255, labels),
        "logits": random.normal(size=(2, 8, 9, CLASSES)).astype("float32"),
        "embeddings": random.normal(size=(24, 6)).astype("float32"),
        "anchors": random.integers(0, 3, 24),
        "valid": random.uniform(size=24) < 0.8,
    }


def networks():
    """Return small networks with every context module and alignment."""
    from keras_frm.layers import VAN
    from keras_frm.networks.registry import build_network

    for context, alignment in (
        *(("frm", "bilinear"), ("ppm", "flow"), ("dappm", "bilinear")),
        (None, "flow"),
    ):
        backbone = VAN((8, 8, 16, 16), (2, 2, 2, 2), (1, 1, 2, 1), name="backbone")
        network = build_network(
            CLASSES,
            backbone=backbone,
            context=context,
            alignment=alignment,
            decoder_width=16,
        )
        yield f"{context} {alignment}", network


def layers(given):
    """Return the logits of each network, with the weights given or its own."""
    results = {}
    for name, network in networks():
        keys = [f"{name}/{i}" for i in range(len(network.weights))]
        if keys[0] in given:
            network.set_weights([given[key] for key in keys])
        results |= dict(zip(keys, network.get_weights(), strict=True))
        results[f"{name}/logits"] = np.asarray(network(given["image"]))
    return results


def losses(given):
    """Return the losses of the same labels and logits."""
    from keras_frm.losses import CrossEntropy, OhemCrossEntropy, PixelContrastiveLoss

    labels, logits = given["labels"], given["logits"]
    weights = [1.0, 2.0, 0.5, 3.0, 1.5]
    anchors = given["anchors"], given["embeddings"], given["valid"]
    contrastive = PixelContrastiveLoss(max_anchors=30, seed=1)
    return {
        "cross_entropy": np.asarray(CrossEntropy()(labels, logits)),
        "weighted": np.asarray(CrossEntropy(class_weights=weights)(labels, logits)),
        "ohem": np.asarray(OhemCrossEntropy(0.2, min_kept=30)(labels, logits)),
        "contrastive": np.asarray(contrastive.from_anchors(*anchors)),
        # Backends draw other numbers: it is here only to run.
        "sampled": np.isfinite(np.asarray(contrastive(labels, logits))),
    }


def metrics(given):
    """Return a mean IoU of two batches, one of them of class ids."""
    from keras_frm.metrics import MeanIoU
    from keras_frm.optimizers.skipped_steps import SkippedSteps

    labels, logits = given["labels"], given["logits"]
    metric, skipped = MeanIoU(CLASSES), SkippedSteps()
    metric.update_state(labels, logits)
    metric.update_state(labels[..., None], labels % 3, labels[:, 0, 0] != 255)
    for step in (True, False, True):
        skipped.update_state(step)
    return {
        "mean_iou": np.asarray(metric.result()),
        "confusion": metric.confusion,
        "skipped": np.asarray(skipped.result()),
    }


def optimizers(given):
    """Return weights after steps of each optimizer, with accumulation and without."""
    import keras

    from keras_frm.optimizers.adamw import AdamW
    from keras_frm.optimizers.coupled_sgd import CoupledSGD
    from keras_frm.optimizers.poly_decay import PolyDecay

    results = {}
    for steps in (None, 2):
        for make in (
            lambda **options: AdamW(weight_decay=0.1, **options),
            lambda **options: CoupledSGD(momentum=0.9, l2=0.1, **options),
        ):
            schedule = PolyDecay(0.1, total_steps=10, warmup_steps=2)
            optimizer = make(learning_rate=schedule, gradient_accumulation_steps=steps)
            weight = keras.Variable(given["embeddings"])
            for factor in (1.0, 2.0, -1.0, 0.5):
                optimizer.apply([keras.ops.ones(weight.shape) * factor], [weight])
            key = f"{type(optimizer).__name__} {steps}"
            results[key] = keras.ops.convert_to_numpy(weight)
    return results


PARTS = {p.__name__: p for p in (layers, losses, metrics, optimizers)}


def main():
    parts, source, target = sys.argv[1:]
    sys.meta_path.insert(0, NoTensorFlow())
    if os.environ.get("FAKE_JAX"):
        sys.meta_path.insert(0, FakeJax())
    import keras

    assert keras.backend.backend() == os.environ["KERAS_BACKEND"] != "tensorflow"
    given = dict(np.load(source))
    results = {}
    for part in parts.split(","):
        results |= PARTS[part](given)
    assert "tensorflow" not in sys.modules
    np.savez(target, **results)


if __name__ == "__main__":
    main()
