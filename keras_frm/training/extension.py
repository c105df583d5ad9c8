"""More epochs for a training that is finished."""

import dataclasses
import json
from pathlib import Path

from keras_frm.files import write_bytes
from keras_frm.training.checkpoint import newest_position
from keras_frm.training.position import Position
from keras_frm.training.run_config import CONFIG, load_settings

# The rule of the first epochs has ended at a rate of 0.
RATE_FACTOR = 0.1
_SETTING = "extensions"


@dataclasses.dataclass(frozen=True)
class Extension:
    """Epochs that a finished training got besides.

    Weights, optimizer, moving average, best value and log go on. The learning rate
    starts anew, without a warm-up, and falls to 0 by the poly rule over these epochs.

    Args:
        first_epoch: Epochs that were done before.
        epochs: Epochs it got.
        learning_rate: Learning rate they start with.

    Example:
    >>> Extension(10, 3, 0.001).total_epochs
    13
    """

    first_epoch: int
    epochs: int
    learning_rate: float

    @property
    def total_epochs(self) -> int:
        """Epochs at its end, those before included."""
        return self.first_epoch + self.epochs


def is_finished(position: Position, extension: Extension | None) -> bool:
    """Return whether nothing is left to do, with the newest extension if there is one.

    Example:
    >>> end = Position(epoch=10, finished=True)
    >>> is_finished(end, None), is_finished(end, Extension(10, 3, 0.001))
    (True, False)
    """
    awaits = extension is not None and position.epoch == extension.first_epoch
    return position.finished and not awaits


def newest_extension(folder: Path) -> Extension | None:
    """Return what a run folder's training got last; None where it got nothing.

    Raises:
        ValueError: The configuration is damaged.
    """
    try:
        kept = load_settings(folder).get(_SETTING, [])
        return Extension(**kept[-1]) if kept else None
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{folder / CONFIG} is damaged ({error}).") from error


def extend(
    folder: Path, epochs: int, learning_rate: float | None, first_rate: float
) -> Extension:
    """Return the extension to train now: a new one, or the one that was begun.

    Args:
        folder: A run folder.
        epochs: Epochs to add.
        learning_rate: Learning rate to start with; None takes a tenth of `first_rate`.
        first_rate: Learning rate that the training itself started with.

    Raises:
        ValueError: The training is not finished, or has begun other epochs than these.
    """
    position, newest = newest_position(folder), newest_extension(folder)
    if position is not None and is_finished(position, newest):
        rate = first_rate * RATE_FACTOR if learning_rate is None else learning_rate
        return Extension(position.epoch, epochs, rate)
    if newest is None:
        raise ValueError(
            f"{folder} holds no finished training to give more epochs; train it to its "
            "end first."
        )
    if epochs != newest.epochs or learning_rate not in (None, newest.learning_rate):
        raise ValueError(
            f"{folder} has begun {newest.epochs} more epochs at a learning rate of "
            f"{newest.learning_rate:g}; give the same to go on with these."
        )
    return newest


def keep_extension(folder: Path, extension: Extension) -> None:
    """Write an extension into a run folder's configuration, if it is not there."""
    if newest_extension(folder) == extension:
        return
    settings = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    settings.setdefault(_SETTING, []).append(dataclasses.asdict(extension))
    write_bytes(folder / CONFIG, (json.dumps(settings, indent=2) + "\n").encode())
