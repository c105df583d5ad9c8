"""Take back a part of what class weights do to a trained network's choices."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_frm.metrics import confusion_matrix, iou_from_confusion
from keras_frm.models.saving import load_network
from keras_frm.networks.contract import parts_of
from keras_frm.training.run_config import BEST, FINAL
from keras_frm.training.run_folder import save_model

AMOUNTS = (0.0, 0.25, 0.5, 0.75, 1.0)
IMAGES = 300


def adjust_run(
    folder: Path, images: tf.data.Dataset, class_weights: Sequence[float]
) -> dict[float, float]:
    """Write a run's final network: the best one with an adjusted classifier.

    Args:
        folder: The run folder.
        images: Batches of one (image, label) of the training, not augmented; about 300
            of them are taken, spread over all.
        class_weights: The weights that the training had.

    Returns:
        Amount -> mean IoU on these images; the amount with the best one was taken.
    """
    network = load_network(folder / BEST)
    every = max(1, int(images.cardinality()) // IMAGES)
    found = adjust_class_bias(network, images.shard(every, 0), class_weights)
    save_model(network, folder / FINAL)
    return found


def adjust_class_bias(
    network: keras.Model, images: Iterable, class_weights: Sequence[float]
) -> dict[float, float]:
    """Take an amount of the weights' logarithms from the classifier's bias.

    Weights by class let rare classes learn, and then they are chosen too often. The
    amount is the one with the best mean IoU. A class of weight 0 keeps its bias.

    Args:
        network: A network whose last convolution makes the logits, with a bias.
        images: (image, label) in batches of one.
        class_weights: The weights that the training had.

    Returns:
        Amount -> mean IoU.

    Raises:
        ValueError: The last convolution has no bias.

    Source: Menon et al., Long-tail learning via logit adjustment, 2021 (arXiv
    2007.07314), section 4.1.
    """
    weights = np.asarray(class_weights, np.float64)
    shift = np.log(np.where(weights > 0, weights, 1.0)).astype(np.float32)
    classifier = network.get_layer(parts_of(network).features_reader())
    if getattr(classifier, "bias", None) is None:
        raise ValueError(
            f"Layer '{classifier.name}' of network '{network.name}' has no bias to "
            "adjust."
        )
    found = _mean_ious(network, images, shift)
    best = max(found, key=found.get)
    # Of several pixels, the classes of one follow those of another.
    pixels = classifier.bias.shape[0] // len(shift)
    classifier.bias.assign_sub(np.tile(best * shift, pixels))
    return found


def _mean_ious(network, images, shift):
    """Return the mean IoU with each amount of a shift taken from the logits."""
    classes = len(shift)
    counts = {amount: np.zeros((classes, classes), np.int64) for amount in AMOUNTS}
    logits_of = tf.function(lambda x: network(tf.cast(x, tf.float32), training=False))
    for image, mask in images:
        logits, mask = logits_of(image).numpy()[0], np.asarray(mask)[0]
        for amount, table in counts.items():
            chosen = (logits - amount * shift).argmax(-1)
            table += confusion_matrix(mask, chosen, classes)
    return {
        amount: float(np.nanmean(iou_from_confusion(table)))
        for amount, table in counts.items()
    }
