"""From files or synthetic scenes to batches: a `tf.data.Dataset` for training."""

import re
from pathlib import Path

import tensorflow as tf

from keras_frm.data.augmentation import augment as augment_pair
from keras_frm.data.examples import file_examples, scene_examples
from keras_frm.data.reading import DataError
from keras_frm.data.sources import find_pairs
from keras_frm.presets import PRESETS


def load_dataset(
    name: str,
    root: str | Path | None = None,
    split: str | None = "train",
    *,
    batch_size: int,
    crop: tuple[int, int] | None = None,
    augment: bool | None = None,
    seed: int = 0,
    shuffle: bool | None = None,
    resize: tuple[int, int] | None = None,
    drop_remainder: bool | None = None,
    workers: int | None = None,
    scale_range: tuple[float, float] = (0.5, 2.0),
    colour_jitter: float = 0.0,
    count: int | None = None,
) -> tf.data.Dataset:
    """Load a dataset as batches of images and labels.

    The same `seed` (and the same global seed of TensorFlow) gives the same batches in
    the same order from every newly loaded dataset, whatever `workers` is. Each further
    iteration over one dataset object, as each epoch of `fit`, draws a new order and
    new crops. The result carries `labels` (its `LabelSet`) and `listing` (its files,
    None for synthetic scenes); datasets derived from it do not.

    Args:
        name: "cityscapes", "bdd100k", "camvid", "folder" or "synthetic".
        root: The dataset's folder; None for "synthetic".
        split: "train", "val" or "test"; for "folder" also None or "all".
        batch_size: Examples in a batch.
        crop: Height and width of augmented examples; None takes the crop of the
            preset of the same name.
        augment: Scale, crop and flip at random; None does so for "train".
        seed: Decides order and augmentation.
        shuffle: Draw a random order; None does so when augmenting.
        resize: Height and width every example gets right after reading; the size
            of synthetic scenes (256x512 if None).
        drop_remainder: Drop a last, smaller batch; None does so when augmenting.
        workers: Examples read at once; None leaves it to tf.data.
        scale_range: Smallest and largest factor of the random resize.
        colour_jitter: See `keras_frm.data.augmentation.augment`.
        count: Number of synthetic scenes: 400 for "train", 100 for "val" if None.

    Returns:
        Batches of (B, H, W, 3) uint8 RGB and (B, H, W) uint8 train ids.

    Raises:
        ValueError: An argument is wrong or missing.
        DataError: The files are not where they should be. What is wrong inside a
            file shows while iterating: see `data_error`.

    Example:
    >>> load_dataset("kitti", "data", "train", batch_size=2)
    Traceback (most recent call last):
    ValueError: Unknown dataset 'kitti'. Choose one of: ...
    """
    if augment is None:
        augment = split == "train"
    shuffle = augment if shuffle is None else shuffle
    drop_remainder = augment if drop_remainder is None else drop_remainder
    workers = tf.data.AUTOTUNE if workers is None else workers
    if name == "synthetic":
        examples = scene_examples(root, split, resize, count)
    else:
        same_size = not augment and batch_size > 1
        examples = file_examples(find_pairs(name, root, split), resize, same_size)
    if crop is None and name in PRESETS:
        crop = PRESETS[name].crop
    if augment and crop is None:
        raise ValueError(f"Give crop=(height, width) to augment dataset '{name}'.")
    if drop_remainder and examples.count < batch_size:
        raise ValueError(
            f"{examples.count} examples do not fill one batch of {batch_size}. "
            "Lower batch_size or pass drop_remainder=False."
        )

    def load(index: tf.Tensor, example_seed: tf.Tensor) -> tuple:
        image, label = tf.numpy_function(
            examples.read, [index], [tf.uint8, tf.uint8], stateful=False
        )
        height, width = examples.size or (None, None)
        image.set_shape((height, width, 3))
        label.set_shape((height, width))
        if not augment:
            return image, label
        return augment_pair(
            image,
            label,
            example_seed,
            crop=crop,
            scale_range=scale_range,
            colour_jitter=colour_jitter,
            ignore_label=examples.labels.ignore_label,
        )

    dataset = tf.data.Dataset.range(examples.count)
    if shuffle:
        dataset = dataset.shuffle(examples.count, seed, reshuffle_each_iteration=True)
    # One seed for each example, drawn before reading runs in parallel: it does not
    # depend on which thread is first.
    seeds = tf.data.Dataset.random(seed, rerandomize_each_iteration=True)
    dataset = tf.data.Dataset.zip(dataset, seeds.batch(2))
    dataset = dataset.map(load, num_parallel_calls=workers, deterministic=True)
    dataset = dataset.batch(batch_size, drop_remainder=drop_remainder)
    dataset = dataset.prefetch(tf.data.AUTOTUNE)
    dataset.labels = examples.labels
    dataset.listing = examples.listing
    return dataset


def data_error(error: BaseException) -> DataError | None:
    r"""Find the DataError behind an exception of TensorFlow.

    tf.data turns what a reader raises into its own exception, whose text holds our
    line among others.

    Args:
        error: What iterating, `fit` or `evaluate` raised.

    Returns:
        The DataError with its one line, None where a file was not the cause.

    Example:
    >>> data_error(RuntimeError("{{node}} DataError: 'a.png' is empty.\nTraceback"))
    DataError("'a.png' is empty.")
    >>> data_error(RuntimeError("out of memory")) is None
    True
    """
    if isinstance(error, DataError):
        return error
    found = re.search(r"\bDataError: (.+)", str(error))
    return DataError(found[1]) if found else None
