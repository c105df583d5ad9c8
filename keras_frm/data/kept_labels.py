"""Classes that stay with a `tf.data.Dataset` and with what is derived from it."""

import functools
from collections.abc import Callable

import tensorflow as tf

from keras_frm.labels import LabelSet

_DERIVING = (
    "apply",
    "batch",
    "cache",
    "concatenate",
    "filter",
    "map",
    "prefetch",
    "rebatch",
    "repeat",
    "shard",
    "shuffle",
    "skip",
    "take",
    "take_while",
    "unbatch",
    "with_options",
)


def keep_labels(dataset: tf.data.Dataset, labels: LabelSet) -> tf.data.Dataset:
    """Give a dataset its classes, which the datasets derived from it then have, too.

    The dataset stays TensorFlow's own object, which `fit` and `tf.distribute` want;
    its methods that return another dataset pass the classes on.

    Args:
        dataset: The dataset.
        labels: Its classes.

    Returns:
        The same dataset, with `labels`.

    Example:
    >>> from keras_frm.labels import CAMVID
    >>> dataset = keep_labels(tf.data.Dataset.range(3), CAMVID)
    >>> dataset.skip(1).map(lambda n: 2 * n).cache().labels.name
    'camvid'
    """
    dataset.labels = labels
    for name in _DERIVING:
        setattr(dataset, name, _passing_on(getattr(dataset, name), labels))
    return dataset


def _passing_on(derive: Callable, labels: LabelSet) -> Callable:

    @tf.autograph.experimental.do_not_convert
    @functools.wraps(derive)
    def derived(*args, **kwargs):
        return keep_labels(derive(*args, **kwargs), labels)

    return derived
