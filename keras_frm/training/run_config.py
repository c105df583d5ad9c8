"""The configuration of a run: its settings and its classes, as JSON keeps them.

It is read without TensorFlow, so that commands can look at it before they start that.
"""

import dataclasses
import json
import math
import os
from pathlib import Path

from keras_frm.errors import ArgumentError
from keras_frm.labels import LabelSet

CONFIG = "config.json"


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
        resize, recipe = content.get("resize"), content.get("preset", {})
        if resize is not None:
            content["resize"] = (int(resize[0]), int(resize[1]))
            if min(content["resize"]) < 1:
                raise ValueError(f"its resize is {resize}")
        if not isinstance(recipe, dict):
            raise TypeError("its preset is no table")
        weight = recipe.get("contrastive_weight", 0)
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
        return LabelSet(
            name=str(content["name"]),
            classes=tuple(str(name) for name in content["classes"]),
            palette=tuple(_colour(colour) for colour in content["palette"]),
            ignore_label=int(content["ignore_label"]),
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise ArgumentError(f"{path} is damaged ({error})", "labels") from error


def labels_to_json(labels):
    """Return a label set as JSON can hold it; ids of files are not kept."""
    content = dataclasses.asdict(labels)
    return {key: content[key] for key in ("name", "classes", "palette", "ignore_label")}


def _colour(colour):
    """Return an RGB colour from JSON."""
    red, green, blue = (int(value) for value in colour)
    if not all(0 <= value <= 255 for value in (red, green, blue)):
        raise ValueError(f"a colour is {red}, {green}, {blue}")
    return red, green, blue
