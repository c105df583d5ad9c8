"""What a model file says about itself, whatever its format: text by name."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from keras_frm.labels import LabelSet

OUTPUTS = ("mask", "logits", "scores")

JSON = "keras_frm.json"
LABELS_FILE = "labels.txt"  # one name a line
_MAX_CLASSES = 255  # masks are uint8 and 255 is "ignore"


@dataclass(frozen=True)
class FileMetadata:
    """What a device needs to know about an exported network.

    Args:
        labels: Class names and colours.
        output: "mask" (class ids), "logits" or "scores" (probabilities).
        output_stride: Input size divided by output size: 1, or the network's own.
        precision: Precision of the weights and activations, such as "int8".
        input_size: Height and width of the input, in pixels.
        version: Version of the package that wrote the file.
        provenance: Where the file comes from: source file, date, preset, and so on.
        input_dtype: What images in [0, 255] are handed over as: "float32", "uint8" or
            "int8" (shifted by the tensor's zero point).
    """

    labels: LabelSet
    output: str
    output_stride: int
    precision: str
    input_size: tuple[int, int]
    version: str
    provenance: dict[str, str] = field(default_factory=dict)
    input_dtype: str = "float32"

    def __post_init__(self):
        if self.output not in OUTPUTS:
            raise ValueError(f"output is '{self.output}', not one of {OUTPUTS}.")
        if len(self.input_size) != 2 or min(self.input_size) < 1:
            raise ValueError(f"input_size is {self.input_size}, not (height, width).")
        stride, largest = self.output_stride, max(self.input_size)
        if type(stride) is not int or not 1 <= stride <= largest:
            raise ValueError(
                f"output_stride is {stride!r}, not a whole number from 1 to {largest}."
            )
        if not 1 <= self.labels.num_classes <= _MAX_CLASSES:
            raise ValueError(f"{self.labels.num_classes} classes are not 1 to 255.")
        for name in self.labels.classes:
            if not name or not name.isprintable():
                raise ValueError(f"Class name {name!r} is empty or not printable.")


def to_members(metadata: FileMetadata, model: bytes) -> dict[str, str]:
    """Return the texts that a file carries beside its model, by their names.

    Args:
        metadata: What to say about it.
        model: The model without them, whose checksum is among what is said.

    Example:
    >>> from keras_frm.labels import CAMVID
    >>> about = FileMetadata(CAMVID, "mask", 1, "int8", (360, 480), "0.1.0")
    >>> from_members(to_members(about, b"model")) == about
    True
    """
    labels = metadata.labels
    entry = {
        # The names of the classes stand in a file of their own.
        "labels": {k: v for k, v in labels.get_config().items() if k != "classes"},
        "input": {
            "colour": "RGB",
            "range": [0, 255],
            "layout": "NHWC",
            "dtype": metadata.input_dtype,
            "size": metadata.input_size,
        },
        "output": metadata.output,
        "output_stride": metadata.output_stride,
        "precision": metadata.precision,
        "version": metadata.version,
        "provenance": metadata.provenance,
        "sha256": hashlib.sha256(model).hexdigest(),
    }
    return {
        JSON: json.dumps(entry, indent=1, sort_keys=True),
        LABELS_FILE: "".join(f"{name}\n" for name in labels.classes),
    }


def from_members(members: Mapping[str, str | bytes]) -> FileMetadata:
    """Return what the texts beside a model say.

    Raises:
        ValueError: They are damaged.
    """
    try:
        entry = json.loads(members[JSON])
        names = members[LABELS_FILE]
        names = (names.decode() if isinstance(names, bytes) else names).splitlines()
        return FileMetadata(
            labels=LabelSet.from_config({**entry["labels"], "classes": names}),
            output=str(entry["output"]),
            output_stride=entry["output_stride"],
            precision=str(entry["precision"]),
            input_size=tuple(int(side) for side in entry["input"]["size"]),
            version=str(entry["version"]),
            provenance={k: str(v) for k, v in dict(entry["provenance"]).items()},
            input_dtype=str(entry["input"]["dtype"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"The metadata of the model is damaged ({error!r}).") from None


def matches(members: Mapping[str, str | bytes], model: bytes | memoryview) -> bool:
    """Tell whether a model is the one that the texts beside it were written for.

    Raises:
        ValueError: They are damaged.
    """
    try:
        expected = json.loads(members[JSON])["sha256"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"The metadata of the model is damaged ({error!r}).") from None
    return hashlib.sha256(model).hexdigest() == expected
