"""From the command line's options to a preset and its data."""

import dataclasses
from pathlib import Path

import tensorflow as tf

from keras_frm.data.folder import folder_preset
from keras_frm.data.merging import merge_classes, merged_like, read_merge_file
from keras_frm.data.pipeline import load_dataset
from keras_frm.labels import LabelSet
from keras_frm.presets import Preset, preset
from keras_frm.training.distribution import Distribution


def chosen_preset(name: str, data: Path | None, classes: Path | None = None) -> Preset:
    """Return the preset of a name; "folder" takes its classes from the class file.

    Args:
        name: Name of a preset, or "folder".
        data: Folder of the dataset.
        classes: CSV file of classes to merge, None for the preset's own.

    Raises:
        ValueError: There is no such preset, "folder" has no data, or the file does not
            fit the preset's classes.
    """
    if name != "folder":
        chosen = preset(name)
    elif data is None:
        raise ValueError("--preset folder needs --data, the folder of your dataset.")
    else:
        chosen = folder_preset(data)
    if classes is None:
        return chosen
    merged = merge_classes(chosen.labels, read_merge_file(classes))
    return chosen.with_labels(merged)


def with_merges(chosen: Preset, labels: LabelSet | None) -> Preset:
    """Return a preset whose classes are merged as those of a trained model are.

    Args:
        chosen: The preset.
        labels: The model's classes, None if it names none.
    """
    return chosen.with_labels(merged_like(chosen.labels, labels))


def with_given(chosen: Preset, given: dict) -> Preset:
    """Return a preset with what the command line gives in the place of its own.

    Args:
        chosen: The preset.
        given: Field of the preset or of its recipe -> value, None where an option was
            not given.
    """
    given = {key: value for key, value in given.items() if value is not None}
    return chosen.with_changes(**given)


def settings_of(chosen: Preset) -> dict:
    """Return a preset as JSON can hold it, for a run folder that keeps the classes."""
    settings = dataclasses.asdict(chosen)
    settings.pop("labels")
    return settings


def training_data(
    chosen: Preset,
    data: Path | None,
    batch_size: int,
    crop,
    resize,
    seed: int,
    first_step: int | None = None,
    shard: tuple[int, int] = (0, 1),
    cache: Path | None = None,
    **options,
) -> tf.data.Dataset:
    """Return augmented batches of the preset's training split.

    Args:
        chosen: The preset.
        data: Folder of the dataset.
        batch_size: Images in a step, of all workers together.
        crop: Height and width of a crop, None for the preset's.
        resize: Height and width every image gets first.
        seed: Decides order and augmentation.
        first_step: Step at which an endless stream begins; None for one epoch in each
            iteration.
        shard: This worker and the number of workers.
        cache: Folder that keeps decoded files, None for none.
        **options: Further options of `load_dataset`, such as `val_share`.
    """
    return load_dataset(
        chosen,
        data,
        "train",
        batch_size=batch_size,
        crop=crop,
        resize=resize,
        seed=seed,
        first_step=first_step,
        shard=shard,
        cache=cache,
        **options,
    )


def training_stream(
    spread: Distribution,
    chosen: Preset,
    data: Path | None,
    resize,
    seed: int,
    cache: Path | None,
    first_step: int,
    **options,
) -> tf.data.Dataset:
    """Return endless batches of the training split, divided among the devices.

    Args:
        spread: The devices.
        chosen: The preset.
        data: Folder of the dataset.
        resize: Height and width every image gets first.
        seed: Decides order and augmentation.
        cache: Folder that keeps decoded files, None for none.
        first_step: Step at which the stream begins.
        **options: Further options of `load_dataset`, such as `val_share`.

    Returns:
        Batches, with `steps_per_epoch` and `files_of(step)`.
    """
    batch_size = chosen.batch_size
    whole = training_data(
        *(chosen, data, batch_size, None, resize, seed, first_step),
        shard=spread.shard,
        cache=cache,
        **options,
    )
    stream = spread.distributed(whole, batch_size)
    stream.steps_per_epoch, stream.files_of = whole.steps_per_epoch, whole.files_of
    return stream


def plain_data(
    chosen: Preset,
    data: Path | None,
    split: str,
    resize,
    batch_size: int = 1,
    shard: tuple[int, int] = (0, 1),
    **options,
) -> tf.data.Dataset:
    """Return the images and labels of a split as they are.

    Args:
        chosen: The preset.
        data: Folder of the dataset.
        split: "train", "val" or "test".
        resize: Height and width every image gets first.
        batch_size: Images in a batch of each worker.
        shard: This worker and the number of workers, which take batches in turns.
        **options: Further options of `load_dataset`, such as `val_share`.
    """
    return load_dataset(
        chosen,
        data,
        split,
        batch_size=batch_size * shard[1],
        resize=resize,
        augment=False,
        drop_remainder=False,
        shard=shard,
        **options,
    )
