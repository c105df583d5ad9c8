"""A run folder: what a training leaves behind, and how it is read again."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import keras
import tensorflow as tf

from keras_frm.files import replacing, write_bytes
from keras_frm.labels import LabelSet, numbered_labels
from keras_frm.models.own_preset import own_labels
from keras_frm.models.saving import load_model
from keras_frm.models.segmentation_model import SegmentationModel
from keras_frm.presets import Preset
from keras_frm.training.agreement import Agreement
from keras_frm.training.checkpoint import has_checkpoint
from keras_frm.training.distribution import Distribution, WorkerLostError
from keras_frm.training.run_config import (
    BEST,
    CONFIG,
    FINAL,
    LAST,
    load_labels,
    load_settings,
)
from keras_frm.training.settings import check_same_settings

LOG = "log.csv"


@contextlib.contextmanager
def new_run(
    folder: str | os.PathLike,
    config: dict,
    labels: LabelSet,
    resume: bool = False,
    spread: Distribution | None = None,
) -> Iterator[Path]:
    """Make a new run folder with its configuration, or open one to go on.

    If the block fails before there is a first checkpoint, a new folder goes again. Of
    several workers the first makes it, and the others wait for that.

    Args:
        folder: Path of the folder. It must be new or empty, or with `resume` a run
            folder of the same settings.
        config: Settings of the training, as JSON can hold them.
        labels: Classes the model is trained on.
        resume: Open a run folder that can be resumed.
        spread: The devices, None for one.

    Yields:
        The folder.

    Raises:
        ValueError: The folder holds something else already, or a training with other
            settings.
        WorkerLostError: The first worker could not make it.
    """
    folder = Path(folder)
    content = {**config, "labels": labels.get_config()}
    agreement = Agreement(spread or Distribution(tf.distribute.get_strategy()))
    if not agreement.spread.is_chief:
        with agreement.spread.watching():
            (failed,) = agreement.any(False)
        if failed:
            raise WorkerLostError(f"The first worker could not open {folder}.")
        check_same_settings(folder, load_settings(folder), content)
        yield folder
        return
    try:
        is_new = _open(folder, content, resume)
    except BaseException:
        agreement.any(True)
        raise
    agreement.any(False)
    try:
        yield folder
    except BaseException:
        if is_new and not ((folder / LAST).exists() or has_checkpoint(folder)):
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _open(folder, content, resume):
    """Make a run folder or check one to go on in; return whether it is new."""
    if resume and can_resume(folder):
        check_same_settings(folder, load_settings(folder), content)
        return False
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(
            f"{folder} is not empty; name another run folder, or remove it."
        )
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes(folder / CONFIG, (json.dumps(content, indent=2) + "\n").encode())
    return True


def can_resume(folder: Path) -> bool:
    """Return whether a training can go on in a folder.

    That is a run folder with a checkpoint, or one whose process was killed before the
    first. One without checkpoints that has weights is of an older version.
    """
    is_run = "command" in load_settings(folder)
    return is_run and (has_checkpoint(folder) or not (folder / LAST).exists())


def save_model(model: keras.Model, path: Path) -> None:
    """Save a model to a file that is there whole or not at all."""
    with replacing(path) as unfinished:
        model.save(unfinished)


def trained_file(path: Path) -> Path:
    """Return the file of a run folder's trained network; of a file, the file.

    Raises:
        FileNotFoundError: The folder has none.
    """
    if not path.is_dir():
        return path
    for name in (FINAL, BEST, LAST):
        if (path / name).is_file():
            return path / name
    raise FileNotFoundError(f"{path} is no run folder: it has no {BEST}.")


def load_trained(
    path: str | os.PathLike, labels: LabelSet | None = None
) -> tuple[keras.Model, LabelSet]:
    """Load a trained network and its classes.

    Args:
        path: A run folder (its final or else its best weights are taken), or a
            `.keras` file.
        labels: Classes of the model; None takes those of the `config.json` beside the
            file, else of the model's own preset, else numbers.

    Returns:
        The plain network and its label set.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged or has another number of classes.
    """
    path = trained_file(Path(path))
    model = load_model(path, compile=False)
    network = getattr(model, "network", model)
    count = network.output.shape[-1]
    if labels is None:
        labels = load_labels(path.parent) or own_labels(model) or numbered_labels(count)
    if count != labels.num_classes:
        raise ValueError(
            f"The model in {path} has {count} classes and the label set "
            f"'{labels.name}' has {labels.num_classes}; name the right preset."
        )
    return network, labels


def load_trainable(
    path: str | os.PathLike, chosen: Preset
) -> tuple[SegmentationModel, LabelSet]:
    """Load a trained model with what only training has, to train it further.

    Args:
        path: A run folder (best weights; embedding head and auxiliary heads of the
            last), or a `.keras` file.
        chosen: Preset of the training to come; its classes serve where no
            `config.json` lies beside the model.

    Returns:
        The model, not compiled, and its label set.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged or has another number of classes.
    """
    path = Path(path)
    known = (path if path.is_dir() else path.parent) / CONFIG
    network, labels = load_trained(path, None if known.is_file() else chosen.labels)
    whole = _whole_model(path / LAST if path.is_dir() else path)
    size = {}
    if whole is None:
        parts = network  # what only training has begins anew
    else:
        parts = whole.parts
        whole.network.set_weights(network.get_weights())
        size["embedding_dim"] = whole.embedding_dim
    model = SegmentationModel(parts, chosen.with_labels(labels), **size)
    head = getattr(whole, "embedding_head", None)
    if head is not None and model.contrastive_weight:
        model.embedding_head.set_weights(head.get_weights())
    return model, labels


def _whole_model(path):
    """Return a trained model with what only training has, None where there is none."""
    if not path.is_file():
        return None
    model = load_model(path, compile=False)
    return model if isinstance(model, SegmentationModel) else None
