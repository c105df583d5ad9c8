"""What a command knows of a model it was given: preset and data of its run."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from keras_frm.errors import ArgumentError
from keras_frm.labels import LabelSet
from keras_frm.presets import Preset


def choices_of_run(
    models: Sequence[Path], preset: str | None, data: Path | None
) -> tuple[str | None, Path | None]:
    """Return preset and data folder: as given, or else those of the models' run.

    What is taken from the run is said on standard error. The data are taken only with
    the run's own preset, and where they still are.

    Args:
        models: Run folders, or files in one. Nothing is taken from runs that differ in
            their preset or data.
        preset: Name of a preset, None if not given.
        data: Folder of a dataset, None if not given.
    """
    if preset is not None and data is not None:
        return preset, data
    (own, folder), *others = {_choices(_run(model)) for model in models}
    if others or own is None or preset not in (None, own):
        return preset, data
    taken = [f"preset {own}"] if preset is None else []
    if data is None and folder is not None:
        taken.append(f"data {folder}" if folder.is_dir() else f"{folder} is gone")
        data = folder if folder.is_dir() else None
    if taken:
        note(f"from the run {_run(models[0])}: {', '.join(taken)}")
    return own, data


def labels_of_run(model: Path) -> LabelSet | None:
    """Return the classes of the run that a model is of; None where there is none.

    Args:
        model: A run folder, or a file in one.
    """
    from keras_frm.training.run_config import load_labels

    return load_labels(_run(model))


def split_of_run(models: Sequence[Path], data: Path | None) -> dict[str, float]:
    """Return how a run divided its data, for whoever reads the same: its `val_share`.

    Args:
        models: Run folders, or files in one.
        data: Folder of the dataset that is to be read.

    Returns:
        Options of `load_dataset`; none where the run left the data as they are, or had
        others.
    """
    from keras_frm.training.run_config import load_settings

    settings = load_settings(_run(models[0])) if models else {}
    own, share = _data_of(settings), settings.get("val_share")
    if share is None or None in (own, data) or own.resolve() != data.resolve():
        return {}
    return {"val_share": share}


def require_data(chosen: Preset, data: Path | None) -> None:
    """Raise a ValueError where a preset's dataset needs a folder that is not given."""
    if data is None and chosen.dataset != "synthetic":
        raise ValueError(
            f"Dataset '{chosen.dataset}' is read from files: pass its folder by --data."
        )


def note(text: str) -> None:
    """Say on standard error what a command chose by itself."""
    print(text, file=sys.stderr)


def note_numbers(model: Path, labels: LabelSet) -> None:
    """Say that a model's classes have numbers, where they have."""
    if labels.name == "numbered":
        note(f"{model} names no classes, so they get numbers; --preset names them")


@contextlib.contextmanager
def remedies(**by_argument: str) -> Iterator[None]:
    """Let an error about a function's argument name the command's option instead.

    Args:
        **by_argument: Name of an argument -> what to do about it on the command line.

    Example:
    >>> with remedies(size="pass --size"):
    ...     raise ArgumentError("net.keras takes images of any size", "size")
    Traceback (most recent call last):
    ValueError: net.keras takes images of any size; pass --size.
    """
    try:
        yield
    except ArgumentError as error:
        if error.argument not in by_argument:
            raise
        remedy = by_argument[error.argument]
        raise ValueError(f"{error.problem}; {remedy}.") from error


def _run(model) -> Path:
    return model if model.is_dir() else model.parent


def _choices(run) -> tuple[str | None, Path | None]:
    """Return preset and data that a run was trained with, None where it had none."""
    from keras_frm.training.run_config import load_settings

    settings = load_settings(run)
    return settings.get("preset", {}).get("name"), _data_of(settings)


def _data_of(settings) -> Path | None:
    options = settings.get("options") or {}
    data = options.get("data") or settings.get("data")  # an option's path is absolute
    return None if data in (None, "None") else Path(data)
