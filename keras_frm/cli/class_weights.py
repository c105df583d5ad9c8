"""`--class-weights`: named, or counted on the training masks."""

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from keras_frm.labels import LabelSet

# What stands for weights that are counted -> the function of class_balance.
COUNTED = {"balanced": "median_frequency_weights", "sqrt": "square_root_weights"}


def class_weights_of(
    text: str | None,
    labels: LabelSet,
    run: Path,
    masks: Callable[[], Iterable[np.ndarray]],
) -> tuple[float, ...] | None:
    """Return one weight for each class, None where none are wanted.

    Args:
        text: "balanced", "sqrt", or names with weights such as "road=1,car=2.5".
        labels: The classes.
        run: Folder of the run; if it was started with the same word, its weights are
            taken and nothing is counted again.
        masks: Returns the training masks.

    Raises:
        ValueError: The text is neither, or names no class.
    """
    if text is None:
        return None
    if text not in COUNTED:
        return named_weights(text, labels)
    kept = _kept_weights(run, text)
    if kept is not None:
        return kept
    from keras_frm.data import class_balance

    count = getattr(class_balance, COUNTED[text])
    weights = count(masks(), labels.num_classes)
    pairs = zip(labels.classes, weights, strict=True)
    print("class weights: " + ", ".join(f"{name} {w:.3g}" for name, w in pairs))
    return weights


def named_weights(text: str, labels: LabelSet) -> tuple[float, ...]:
    """Return the weights that a text names; classes that it does not name weigh 1.

    Raises:
        ValueError: A part is not NAME=WEIGHT, or there is no such class.

    Example:
    >>> two = LabelSet("two", ("road", "car"), ((0, 0, 0), (9, 9, 9)))
    >>> named_weights("car=2.5", two)
    (1.0, 2.5)
    """
    weights = dict.fromkeys(labels.classes, 1.0)
    for part in text.split(","):
        name, _, number = part.rpartition("=")
        name, weight = name.strip(), _number(number)
        if weight is None or not name:
            raise ValueError(
                f"--class-weights must be {' or '.join(COUNTED)}, or names with "
                f"weights, 0 or more, such as road=1,car=2.5; '{part.strip()}' is none."
            )
        if name not in weights:
            raise ValueError(
                f"--class-weights names '{name}', which is no class. The classes: "
                f"{', '.join(labels.classes)}."
            )
        weights[name] = weight
    return tuple(weights.values())


def _number(text):
    """Return a weight, None where the text is none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < math.inf else None


def _kept_weights(run, text):
    """Return the weights that were counted for a run, None without."""
    from keras_frm.training.run_config import load_settings

    settings = load_settings(run)
    if (settings.get("options") or {}).get("class_weights") != text:
        return None
    kept = settings.get("preset", {}).get("recipe", {}).get("class_weights")
    return kept and tuple(kept)
