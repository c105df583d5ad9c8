"""Sample predictions while training."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_frm.files import write_png
from keras_frm.labels import LabelSet
from keras_frm.runtime.draw import grid, overlay, side_by_side


class Samples(keras.callbacks.Callback):
    """Draw image, label and prediction of a few images as the training goes on.

    Args:
        folder: Folder of the pictures, `epoch_0001.png` and so on.
        dataset: Batches of (image, label), or a function that returns them, see
            `spread_examples`; the first images of batches that lie far apart are
            drawn, for neighbours are often frames of one video.
        labels: Names and colours.
        every: Epochs between two pictures; the last epoch is always drawn.
        count: Number of images.

    Attributes:
        drawn: The last epoch that was drawn -> image, label and prediction of each
            image side by side, (h, w, 3) uint8.
    """

    def __init__(
        self,
        folder: Path,
        dataset: tf.data.Dataset | Callable[..., tf.data.Dataset],
        labels: LabelSet,
        every: int = 10,
        count: int = 4,
    ):
        super().__init__()
        self.folder = folder
        self.labels = labels
        self.every = every
        self.pairs = spread_examples(dataset, count)
        self.drawn: dict[int, list[np.ndarray]] = {}

    def set_model(self, model):
        super().set_model(model)
        # Keras' `predict` would ask the other workers, who do not draw.
        self.predict = tf.function(
            lambda images: model(images, training=False),
            autograph=False,
            reduce_retracing=True,
        )

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every and epoch + 1 != self.params["epochs"]:
            return
        rows, triples = [], []
        for image, label in self.pairs:
            logits = self.predict(image[None])  # (1, H, W, C)
            mask = logits[0].numpy().argmax(-1).astype(np.uint8)  # (H, W)
            triples.append(side_by_side(image, label, mask, self.labels))
            seen = overlay(image, mask, self.labels.palette)
            rows.append(grid([triples[-1], seen], 2))
        self.drawn = {epoch: triples}
        name = f"epoch_{epoch + 1:04d}.png"
        write_png(self.folder / name, grid(rows))


def spread_examples(
    dataset: tf.data.Dataset | Callable[..., tf.data.Dataset], count: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Take the first examples of batches at equal distances.

    Args:
        dataset: Batches of (image, label). Of a function that returns them, and for
            `shard=(index, count)` every count-th of them, only those shown are read.
        count: Number of examples, fewer where the dataset has fewer.

    Returns:
        Pairs of (H, W, 3) image and (H, W) label.

    Example:
    >>> numbers = tf.data.Dataset.range(12)
    >>> pairs = tf.data.Dataset.zip(numbers, numbers).batch(2)
    >>> [int(image) for image, _ in spread_examples(pairs, 3)]
    [0, 4, 8]
    """
    # Unknown and infinite lengths are negative: there the first batches serve.
    whole = dataset() if callable(dataset) else dataset
    distance = max(1, int(whole.cardinality()) // count)
    apart = (
        dataset(shard=(0, distance)) if callable(dataset) else whole.shard(distance, 0)
    )
    batches = list(apart.take(count).as_numpy_iterator())
    of_each = -(-count // max(1, len(batches)))
    pairs = [
        pair
        for images, labels in batches
        for pair in list(zip(images, labels, strict=True))[:of_each]
    ]
    return pairs[:count]
