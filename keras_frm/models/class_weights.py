"""`fit(class_weight=...)` for labels that are images."""

from collections.abc import Mapping

import numpy as np
import tensorflow as tf


def with_class_weights(
    dataset: tf.data.Dataset, class_weight: Mapping[int, float], num_classes: int
) -> tf.data.Dataset:
    """Add the weight of each pixel's class to a dataset of (image, label).

    Keras' own `class_weight` takes one label for a sample only.

    Args:
        dataset: Batches of (images, labels), labels (B, H, W).
        class_weight: Class -> weight; 1 for classes that are not named.
        num_classes: Number of classes.

    Returns:
        Batches of (images, labels, weights), weights (B, H, W) float32.

    Raises:
        ValueError: The data is not such a dataset, or a class does not exist.

    Example:
    >>> data = tf.data.Dataset.from_tensors((tf.zeros((1, 1, 2, 3)), [[[0, 1]]]))
    >>> next(iter(with_class_weights(data, {1: 3.0}, 2)))[2].numpy().tolist()
    [[[1.0, 3.0]]]
    """
    unknown = sorted(set(class_weight) - set(range(num_classes)))
    if unknown:
        raise ValueError(f"`class_weight` names classes that do not exist: {unknown}")
    if not isinstance(dataset, tf.data.Dataset) or not (
        isinstance(dataset.element_spec, tuple) and len(dataset.element_spec) == 2
    ):
        raise ValueError(
            "`class_weight` needs a tf.data.Dataset of (images, labels); otherwise "
            "give `sample_weight`, or compile with CrossEntropy(class_weights=...)."
        )
    table = np.ones(256, np.float32)
    for label, weight in class_weight.items():
        table[label] = weight
    return dataset.map(
        lambda image, label: (image, label, tf.gather(table, tf.cast(label, tf.int32)))
    )
