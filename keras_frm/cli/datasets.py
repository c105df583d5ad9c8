"""From the command line's options to a preset and its data."""

import dataclasses
from pathlib import Path

import tensorflow as tf

from keras_frm.data.pipeline import load_dataset
from keras_frm.data.sources import find_pairs
from keras_frm.presets import PRESETS, Preset, preset


def chosen_preset(name: str, data: Path | None) -> Preset:
    """Return the preset of a name; "folder" takes its classes from the class file.

    Args:
        name: Name of a preset, or "folder".
        data: Folder of the dataset.

    Raises:
        ValueError: There is no such preset, or "folder" has no data.
    """
    if name != "folder":
        return preset(name)
    if data is None:
        raise ValueError("--preset folder needs --data, the folder of your dataset.")
    split = "train" if (data / "images" / "train").is_dir() else None
    return dataclasses.replace(
        PRESETS["camvid"],
        name="folder",
        dataset="folder",
        labels=find_pairs("folder", data, split).labels,
        source="CamVid's recipe on your own folder",
    )


def training_data(
    chosen: Preset, data: Path | None, batch_size: int, crop, resize, seed: int
) -> tf.data.Dataset:
    """Return augmented batches of the preset's training split."""
    return load_dataset(
        chosen.dataset,
        data,
        "train",
        batch_size=batch_size,
        crop=crop or chosen.crop,
        resize=resize,
        scale_range=chosen.scale_range,
        colour_jitter=chosen.colour_jitter,
        seed=seed,
    )


def plain_data(
    chosen: Preset, data: Path | None, split: str, resize, batch_size: int = 1
) -> tf.data.Dataset:
    """Return the images and labels of a split as they are."""
    return load_dataset(
        chosen.dataset,
        data,
        split,
        batch_size=batch_size,
        resize=resize,
        augment=False,
    )
