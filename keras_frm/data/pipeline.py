"""From files or synthetic scenes to batches: a `tf.data.Dataset` for training."""

import re
from pathlib import Path

import tensorflow as tf

from keras_frm.data.augmentation import augment as augment_pair
from keras_frm.data.examples import file_examples, scene_examples
from keras_frm.data.order import Order
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
    first_step: int | None = None,
    shard: tuple[int, int] = (0, 1),
    cache: str | Path | None = None,
) -> tf.data.Dataset:
    """Load a dataset as batches of images and labels.

    The same `seed` gives the same batches in the same order from every newly loaded
    dataset, whatever `workers` is. Each iteration over one dataset object, as each
    epoch of `fit`, is the next epoch, with a new order and new crops.

    With `first_step` the result is a stream: the same epochs one after another
    without an end, from any step on. Batches of one step are equal wherever the
    stream began, and those of all workers together are the batch of a single one.

    The result carries `labels` (its `LabelSet`), `listing` (its files, None for
    synthetic scenes), `steps_per_epoch`, and a stream `files_of(step)`, the image
    files of a step's global batch. Datasets derived from it do not.

    Args:
        name: "cityscapes", "bdd100k", "camvid", "folder" or "synthetic".
        root: The dataset's folder; None for "synthetic".
        split: "train", "val" or "test"; for "folder" also None or "all".
        batch_size: Examples in a batch, of all workers together.
        crop: Height and width of augmented examples; None takes the crop of the
            preset of the same name.
        augment: Scale, crop and flip at random; None does so for "train".
        seed: Decides order and augmentation.
        shuffle: Draw a random order; None does so when augmenting.
        resize: Height and width every example gets right after reading; the size
            of synthetic scenes (256x512 if None).
        drop_remainder: Drop a last, smaller batch; None does so when augmenting, in
            a stream and in a shard.
        workers: Examples read at once; None leaves it to tf.data.
        scale_range: Smallest and largest factor of the random resize.
        colour_jitter: See `keras_frm.data.augmentation.augment`.
        count: Number of synthetic scenes: 400 for "train", 100 for "val" if None.
        first_step: Step a stream begins at, counted from 0 over all epochs; None for
            one epoch in each iteration.
        shard: This worker's number, from 0, and the number of workers: it gets an
            equal part of the rows of each batch; of a last, smaller one, which there is
            with drop_remainder=False, what its part still holds. (0, 1) gives all.
        cache: Folder that keeps decoded files for the next epoch and the next
            training: four bytes a pixel on disk, see
            `keras_frm.data.cache.ExampleCache`. None decodes them each time.

    Returns:
        Batches of (B, H, W, 3) uint8 RGB and (B, H, W) uint8 train ids, B being
        `batch_size` divided by the number of workers.

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
    if drop_remainder is None:
        drop_remainder = augment or first_step is not None or shard[1] > 1
    workers = tf.data.AUTOTUNE if workers is None else workers
    if name == "synthetic":
        if cache is not None:
            raise ValueError("Dataset 'synthetic' reads no files: pass cache=None.")
        examples = scene_examples(root, split, resize, count)
    else:
        same_size = not augment and batch_size > shard[1]
        listing = find_pairs(name, root, split)
        examples = file_examples(listing, resize, same_size, cache)
    if crop is None and name in PRESETS:
        crop = PRESETS[name].crop
    if augment and crop is None:
        raise ValueError(f"Give crop=(height, width) to augment dataset '{name}'.")
    order = Order(examples.count, batch_size, seed, shuffle, drop_remainder, shard)

    def load(number: tf.Tensor) -> tuple:
        index, example_seed = order.draw(number)
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

    dataset = order.numbers(first_step)
    dataset = dataset.map(load, num_parallel_calls=workers, deterministic=True)
    dataset = dataset.batch(order.worker_batch_size, drop_remainder=drop_remainder)
    dataset = dataset.prefetch(tf.data.AUTOTUNE)
    dataset.augmented = augment
    dataset.labels = examples.labels
    dataset.listing = examples.listing
    dataset.steps_per_epoch = order.steps_per_epoch
    if first_step is not None:
        dataset.files_of = lambda step: [examples.name(i) for i in order.batch(step)]
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
