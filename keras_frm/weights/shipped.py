"""The table of the weights that come with the package, and whether they are whole."""

import functools
import hashlib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
TABLE = "shipped.json"

# The name of weights of a backbone that other packages hold.
IMAGENET = "imagenet"


class LicenceNotice(UserWarning):
    """The terms of weights that were loaded."""


class DamagedWeightsError(ValueError):
    """A file of the package is not what was shipped."""


@dataclass(frozen=True)
class ShippedWeights:
    """Trained weights of a registered network, and an int8 file of them.

    Args:
        name: What `build_model(weights=...)` and `Segmenter(...)` take.
        network: Name of the network.
        preset: Name of the preset that has its classes.
        classes: Names of its classes, in order.
        trained_on: The data, all stages of the training.
        measured_on: What the figures are of.
        mean_iou: Mean IoU of the float network, of 1.
        mean_iou_int8: Mean IoU of the int8 file, of 1.
        licence: The terms of use, a sentence.
        weights: Name of the `.weights.h5` file.
        weights_sha256: Its digest.
        device: Name of the int8 `.tflite` file.
        device_sha256: Its digest.
        default: Whether it is what `Segmenter()` takes.
    """

    name: str
    network: str
    preset: str
    classes: tuple[str, ...]
    trained_on: str
    measured_on: str
    mean_iou: float
    mean_iou_int8: float
    licence: str
    weights: str
    weights_sha256: str
    device: str
    device_sha256: str
    default: bool = False

    def weights_file(self) -> Path:
        """Return the whole network's weights, in the form of Keras.

        Raises:
            DamagedWeightsError: The file is not what was shipped.
        """
        return _whole(self.weights, self.weights_sha256)

    def device_file(self) -> Path:
        """Return the int8 file, see `weights_file`."""
        return _whole(self.device, self.device_sha256)

    def card(self) -> str:
        """Return the page about the weights, Markdown."""
        return (FOLDER / f"{self.name}.md").read_text(encoding="utf-8")

    def note_licence(self) -> None:
        """Warn of the terms; Python shows each warning once."""
        warnings.warn(f"Weights '{self.name}': {self.licence}", LicenceNotice, 3)


@functools.cache
def shipped_weights() -> dict[str, ShippedWeights]:
    """Return the weights that come with the package, by name.

    Example:
    >>> [each.name for each in shipped_weights().values()] == [*shipped_weights()]
    True
    """
    table = json.loads((FOLDER / TABLE).read_text(encoding="utf-8"))
    return {
        name: ShippedWeights(name, **{**row, "classes": tuple(row["classes"])})
        for name, row in table.items()
    }


def find_shipped(name: object) -> ShippedWeights | None:
    """Return the shipped weights of a name; None where it is none, as a path is.

    Example:
    >>> find_shipped("runs/mine/best.keras") is None
    True
    """
    return shipped_weights().get(name) if isinstance(name, str) else None


def default_weights() -> ShippedWeights | None:
    """Return the shipped weights that stand for a model that is not named."""
    found = (each for each in shipped_weights().values() if each.default)
    return next(found, None)


def _whole(file, sha256):
    path = FOLDER / file
    found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    if found != sha256:
        what = "is gone" if found is None else "is damaged: its SHA-256 is another one"
        raise DamagedWeightsError(f"{path} {what}. Install keras_frm again.")
    return path
