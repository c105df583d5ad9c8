"""The configuration of a run: its settings and its classes, as JSON keeps them.

It is read without TensorFlow, so that commands can look at it before they start that.
"""

import json
import math
import os
from pathlib import Path

from keras_frm.errors import ArgumentError
from keras_frm.labels import LabelSet

CONFIG = "config.json"
BEST = "best.keras"
FINAL = "final.keras"  # the best, after what may follow a training
LAST = "last.keras"


def is_run_folder(path: str | os.PathLike) -> bool:
    """Tell whether a training left a folder behind: its models or its settings.

    Args:
        path: A folder, a file, or nothing at all.
    """
    path = Path(path)
    if any((path / name).is_file() for name in (FINAL, BEST, LAST)):
        return True
    try:
        return "labels" in load_settings(path)
    except ValueError:  # of another program
        return False


def load_settings(path: str | os.PathLike) -> dict:
    """Return what a run folder's configuration says; empty where there is none.

    Args:
        path: A run folder, or a file.

    Raises:
        ValueError: The configuration is damaged.
    """
    path = Path(path) / CONFIG
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        resize, chosen = content.get("resize"), content.get("preset", {})
        if resize is not None:
            content["resize"] = (int(resize[0]), int(resize[1]))
            if min(content["resize"]) < 1:
                raise ValueError(f"its resize is {resize}")
        if not isinstance(chosen, dict):
            raise TypeError("its preset is no table")
        weight = chosen.get("recipe", {}).get("contrastive_weight", 0)
        if not 0 <= weight < math.inf:
            raise ValueError(f"its contrastive_weight is {weight}")
    except (
        AttributeError,
        ValueError,
        TypeError,
        IndexError,
        KeyError,
        OverflowError,
        RecursionError,
    ) as error:
        raise ValueError(f"{path} is damaged ({error}).") from error
    return content


def load_labels(folder: Path) -> LabelSet | None:
    """Return the label set of a run folder.

    Returns:
        The classes; None where there is no configuration.

    Raises:
        ArgumentError: The configuration is damaged.
    """
    path = folder / CONFIG
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))["labels"]
        return LabelSet.from_config(content)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise ArgumentError(f"{path} is damaged ({error})", "labels") from error
