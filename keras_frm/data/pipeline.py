"""From files or synthetic scenes to batches: a `tf.data.Dataset` for training."""

from pathlib import Path

import tensorflow as tf

from keras_frm.data.augmentation import augment as augment_pair
from keras_frm.data.examples import file_examples, merged_examples, scene_examples
from keras_frm.data.folder import folder_preset
from keras_frm.data.kept_labels import keep_labels
from keras_frm.data.merging import refuse_other_classes
from keras_frm.data.order import Order
from keras_frm.data.sources import SOURCES, find_pairs
from keras_frm.labels import LabelSet
from keras_frm.presets import PRESETS, Preset

_TO_TRAIN_ON = ("train", "all", None)


def load_dataset(
    name: str | Preset,
    root: str | Path | None = None,
    split: str | None = "train",
    *,
    batch_size: int | None = None,
    crop: tuple[int, int] | None = None,
    augment: bool | None = None,
    seed: int = 0,
    shuffle: bool | None = None,
    resize: tuple[int, int] | None = None,
    drop_remainder: bool | None = None,
    workers: int | None = None,
    scale_range: tuple[float, float] | None = None,
    colour_jitter: float | None = None,
    count: int | None = None,
    first_step: int | None = None,
    shard: tuple[int, int] = (0, 1),
    cache: str | Path | None = None,
    labels: LabelSet | None = None,
    val_share: float | None = None,
) -> tf.data.Dataset:
    """Load a dataset as batches of images and labels.

    What is not given comes from the preset: that of the dataset's name, one of your
    own, or for "folder" that of `keras_frm.folder_preset(root)`.

    The same `seed` gives the same batches in the same order from every newly loaded
    dataset, whatever `workers` is. Each iteration over one dataset object, as each
    epoch of `fit`, is the next epoch, with a new order and new crops.

    With `first_step` the result is a stream: the same epochs one after another
    without an end, from any step on. Batches of one step are equal wherever the
    stream began, and those of all workers together are the batch of a single one.

    The result carries `labels` (its `LabelSet`), as do the datasets that its methods
    make (`take`, `map`, `cache` and so on). It alone has `listing` (its files, None
    for synthetic scenes), `steps_per_epoch`, and a stream `files_of(step)`, the image
    files of a step's global batch.

    Args:
        name: "cityscapes", "bdd100k", "camvid", "synthetic", "folder", or a preset:
            the name of a registered one, or a `Preset`.
        root: The dataset's folder; None for "synthetic".
        split: "train", "val" or "test"; for "folder" also None or "all", which is all
            there is, to train on.
        batch_size: Examples in a batch, of all workers together; None takes the
            preset's to train with, and one for each worker otherwise.
        crop: Height and width of augmented examples; None takes the preset's.
        augment: Scale, crop, flip and change colours at random; None does so for
            "train", None and "all". Pass False to evaluate on these.
        seed: Decides order and augmentation.
        shuffle: Draw a random order; None does so when augmenting.
        resize: Height and width every example gets right after reading; the size
            of synthetic scenes (256x512 if None).
        drop_remainder: Drop a last, smaller batch; None does so when augmenting, in
            a stream and in a shard.
        workers: Examples read at once; None leaves it to tf.data.
        scale_range: Smallest and largest factor of the random resize; None takes the
            preset's.
        colour_jitter: Largest relative change of brightness, contrast and saturation;
            None takes the preset's.
        count: Number of synthetic scenes: 400 for "train", 100 for "val" if None.
        first_step: Step a stream begins at, counted from 0 over all epochs; None for
            one epoch in each iteration.
        shard: This worker's number, from 0, and the number of workers: it gets an
            equal part of the rows of each batch; of a last, smaller one, which there is
            with drop_remainder=False, what its part still holds. (0, 1) gives all.
        cache: Folder that keeps decoded files for the next epoch and the next
            training: four bytes a pixel on disk, see
            `keras_frm.data.cache.ExampleCache`. None decodes them each time.
        labels: Classes merged from the dataset's own, see `keras_frm.merge_classes`;
            None takes the preset's.
        val_share: Where there is no `val`: share of the training pairs that "val" is
            and "train" is without, such as 0.1. Their names alone decide, so files
            that are added move no other.

    Returns:
        Batches of (B, H, W, 3) uint8 RGB and (B, H, W) uint8 train ids, B being
        `batch_size` divided by the number of workers.

    Raises:
        ValueError: An argument is wrong or missing.
        DataError: The files are not where they should be. What is wrong inside a
            file shows while iterating: see `keras_frm.files.data_error`.

    Example:
    >>> load_dataset("kitti", "data", "train", batch_size=2)
    Traceback (most recent call last):
    ValueError: Unknown dataset 'kitti'. Choose one of: ...
    """
    chosen = _preset_of(name, root)
    if labels is not None:
        chosen = chosen.with_labels(labels)
    if augment is None:
        augment = split in _TO_TRAIN_ON
    shuffle = augment if shuffle is None else shuffle
    if drop_remainder is None:
        drop_remainder = augment or first_step is not None or shard[1] > 1
    if batch_size is None:
        batch_size = chosen.batch_size if augment else shard[1]
    crop = chosen.crop if crop is None else crop
    scale_range = chosen.scale_range if scale_range is None else scale_range
    colour_jitter = chosen.colour_jitter if colour_jitter is None else colour_jitter
    workers = tf.data.AUTOTUNE if workers is None else workers
    if chosen.dataset == "synthetic":
        if cache is not None:
            raise ValueError("Dataset 'synthetic' reads no files: pass cache=None.")
        if val_share is not None:
            raise ValueError("Dataset 'synthetic' has a 'val': pass val_share=None.")
        examples = scene_examples(root, split, resize, count)
        examples = merged_examples(examples, chosen.labels)
    else:
        same_size = not augment and batch_size > shard[1]
        listing = find_pairs(
            chosen.dataset, root, split, labels=chosen.labels, val_share=val_share
        )
        examples = file_examples(listing, resize, same_size, cache)
    _check_classes(chosen, examples.labels)
    refuse_other_classes(labels, examples.labels)
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
    dataset = keep_labels(dataset, examples.labels)
    dataset.augmented = augment
    dataset.listing = examples.listing
    dataset.steps_per_epoch = order.steps_per_epoch
    if first_step is not None:
        dataset.files_of = lambda step: [examples.name(i) for i in order.batch(step)]
    return dataset


def _preset_of(name: str | Preset, root: str | Path | None) -> Preset:
    if isinstance(name, Preset):
        return name
    if name in PRESETS:
        return PRESETS[name]
    if name not in SOURCES:
        known = ", ".join(sorted({*SOURCES, *PRESETS}))
        raise ValueError(f"Unknown dataset '{name}'. Choose one of: {known}.")
    return folder_preset(root)


def _check_classes(chosen: Preset, labels: LabelSet) -> None:
    """Raise where a preset's classes cannot be those of its data."""
    if chosen.labels.num_classes != labels.num_classes:
        raise ValueError(
            f"Preset '{chosen.name}' has {chosen.labels.num_classes} classes and its "
            f"data, dataset '{chosen.dataset}', {labels.num_classes}; give the preset "
            "the labels of its data."
        )
