"""Settings of a training, compared with those it was started with."""

import dataclasses
import json
from pathlib import Path

from keras_frm.presets import Recipe

# Where the data lie, who recommends a recipe and what is computed twice to save memory
# changes no training, and extensions come after it; options are what the settings were
# made from, and the effective batch follows from two of them.
_CHANGE_NOTHING = {
    "data",
    "effective_batch",
    "extensions",
    "options",
    "rematerialize",
    "source",
}


def check_same_settings(folder: Path, before: dict, now: dict) -> None:
    """Raise where a training would go on with other settings.

    Args:
        folder: The run folder, for the message.
        before: Settings that the training was started with.
        now: Those to go on with.

    Raises:
        ValueError: It names the first setting that is another one.

    Example:
    >>> before, now = {"preset": {"epochs": 3}}, {"preset": {"epochs": 4}}
    >>> check_same_settings("runs/a", before, now)
    Traceback (most recent call last):
    ValueError: runs/a was started with preset.epochs 3, not 4; give ...
    """
    # JSON knows no tuples.
    before, now = (_flat(json.loads(json.dumps(content))) for content in (before, now))
    # What an older version did not know was as it is by default now.
    unknown = _flat({"preset": {"recipe": dataclasses.asdict(Recipe())}})
    for name in sorted(before.keys() | now.keys()):
        left, right = before.get(name, unknown.get(name)), now.get(name)
        if left != right and not _CHANGE_NOTHING & set(name.split(".")):
            raise ValueError(
                f"{folder} was started with {name} {left}, not {right}; give the same "
                "settings to go on, or another run folder to start again, which can "
                f"begin with weights from {folder}{_remedy(name)}."
            )


def _remedy(name):
    """Say what else there is to do about a setting."""
    return "; a finished run can get more epochs" * (name == "preset.epochs")


def _flat(content: dict, prefix: str = "") -> dict:
    """Return nested dicts as one, with the names on the way to a value joined."""
    result = {}
    for name, value in content.items():
        if isinstance(value, dict):
            result |= _flat(value, f"{prefix}{name}.")
        else:
            result[prefix + name] = value
    return result
