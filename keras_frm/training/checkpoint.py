"""Checkpoints of a training: there whole or not at all, the newest two are kept."""

import contextlib
import dataclasses
import json
import os
import shutil
import uuid
import warnings
import zipfile
from pathlib import Path

import numpy as np

from keras_frm.training.position import Position

CHECKPOINTS = "checkpoints"
_VARIABLES = "variables.npz"
_POSITION = "state.json"
_KEPT = 2
# What reading a damaged file raises.
_DAMAGED = (
    OSError,
    EOFError,
    KeyError,
    ValueError,
    TypeError,
    RecursionError,
    NotImplementedError,
    zipfile.BadZipFile,
)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A training to go on from.

    Args:
        path: Its folder.
        variables: What `keras_frm.training.variables.gather` returned.
        position: How far the training was.
    """

    path: Path
    variables: list[np.ndarray]
    position: Position


def has_checkpoint(run: Path) -> bool:
    """Return whether a run folder holds a checkpoint, whole or damaged."""
    return bool(_steps(run))


def write_checkpoint(
    run: Path, variables: list[np.ndarray], position: Position
) -> Path:
    """Write a checkpoint, then remove all but the newest two.

    The folder is written beside, brought to the disk and renamed, so that a killed
    process or a full disk leaves the older ones as they are.

    Args:
        run: The run folder.
        variables: What `keras_frm.training.variables.gather` returned.
        position: How far the training is.

    Returns:
        Folder of the checkpoint.

    Raises:
        OSError: It cannot be written.

    Example:
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as run:
    ...     for step in (3, 6, 9):
    ...         position = Position(0, step, steps_per_epoch=10)
    ...         path = write_checkpoint(Path(run), [np.arange(step)], position)
    ...     found = newest_checkpoint(Path(run))
    ...     found.path.name, len(found.variables[0]), len(os.listdir(path.parent))
    ('step_00000009', 9, 2)
    """
    folder = run / CHECKPOINTS
    path = folder / f"step_{position.global_step:08d}"
    unfinished = folder / f".{uuid.uuid4().hex}"
    unfinished.mkdir(parents=True)
    try:
        with open(unfinished / _VARIABLES, "wb") as file:
            np.savez(file, *variables)
            _bring_to_disk(file)
        with open(unfinished / _POSITION, "w", encoding="utf-8") as file:
            json.dump(dataclasses.asdict(position), file, indent=2)
            _bring_to_disk(file)
        _take_place(unfinished, path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    _remove_old(folder, path)
    return path


def newest_checkpoint(run: Path) -> Checkpoint | None:
    """Read the newest checkpoint that is whole; warn of damaged ones by name.

    Args:
        run: The run folder.

    Returns:
        The checkpoint, None where there is none at all.

    Raises:
        ValueError: There are checkpoints, and none is whole.
    """
    steps = _steps(run)
    damage = ""
    for path in steps:
        try:
            return _read(path)
        except _DAMAGED as error:
            damage = f"{path} is damaged ({str(error).partition(chr(10))[0]})"
            warnings.warn(f"{damage}; trying the one before.", stacklevel=2)
    if steps:
        raise ValueError(
            f"{damage}, and no checkpoint of {run} is whole; "
            "start again in another run folder."
        )
    return None


def newest_position(run: Path) -> Position | None:
    """Return how far the newest checkpoint is; None without one that can be read."""
    with contextlib.suppress(*_DAMAGED):
        return next((_read_position(path) for path in _steps(run)), None)
    return None


def newest_name(run: Path) -> str | None:
    """Return the name of the newest checkpoint, None without one."""
    return next((path.name for path in _steps(run)), None)


def _steps(run):
    """Return the checkpoints of a run, the newest first."""
    return sorted((Path(run) / CHECKPOINTS).glob("step_*"), reverse=True)


def _read(path):
    """Read a checkpoint whole; zip files check their own sums."""
    position = _read_position(path)
    with np.load(path / _VARIABLES, allow_pickle=False) as file:
        variables = [file[f"arr_{i}"] for i in range(len(file.files))]
    return Checkpoint(path, variables, position)


def _read_position(path):
    """Read how far a checkpoint is."""
    content = json.loads((path / _POSITION).read_text(encoding="utf-8"))
    return Position.from_json(content)


def _take_place(unfinished, path):
    """Give a written folder its name; one of the same step goes."""
    _sync_folder(unfinished)
    if path.exists():
        replaced = path.with_name(f".{uuid.uuid4().hex}")
        os.rename(path, replaced)
        os.rename(unfinished, path)
        shutil.rmtree(replaced, ignore_errors=True)
    else:
        os.rename(unfinished, path)
    _sync_folder(path.parent)


def _remove_old(folder, newest):
    """Remove all but the newest checkpoints, and what a killed process left.

    What claims to be of a later step is damaged, or the training would have gone on
    from there.
    """
    steps = _steps(folder.parent)
    kept = [path for path in steps if path.name <= newest.name][:_KEPT]
    for path in folder.iterdir():
        if path not in kept:
            shutil.rmtree(path, ignore_errors=True)


def _bring_to_disk(file):
    """Return when what was written is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(path):
    """Bring the names in a folder to the disk, where the system can."""
    if os.name == "nt":
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
