"""What goes into a model and what comes out: sizes, dtypes and scales."""

from typing import NamedTuple

import numpy as np

from keras_frm.labels import LabelSet, numbered_labels
from keras_frm.runtime.file_metadata import FileMetadata

_MAX_CLASSES = 255
_MASK_DTYPES = ("uint8", "int32", "int64")


class Input(NamedTuple):
    """The input tensor: its index, (height, width), dtype, scale and zero point."""

    index: int
    size: tuple[int, int]
    dtype: np.dtype
    scale: float
    zero_point: int

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Return an RGB image as the tensor takes it.

        Args:
            image: (H, W, 3) uint8 RGB of the tensor's size.

        Returns:
            (1, H, W, 3) in the tensor's dtype.
        """
        if self.dtype == np.float32:
            return image[None].astype(np.float32)
        limits = np.iinfo(self.dtype)
        levels = np.rint(np.arange(256) / self.scale) + self.zero_point
        table = levels.clip(limits.min, limits.max).astype(self.dtype)
        return table[image][None]


class Output(NamedTuple):
    """The output tensor: index, kind, scale, zero point, and the classes."""

    index: int
    kind: str
    scale: float
    zero_point: int
    labels: LabelSet

    def decode(self, output: np.ndarray) -> np.ndarray:
        """Return the tensor's content as a mask or as scores.

        Args:
            output: (1, h, w), (1, h, w, 1) or (1, h, w, C).

        Returns:
            (h, w) uint8, or (h, w, C) float32.
        """
        if self.kind == "mask":
            mask = output.reshape(output.shape[1:3])
            return mask.clip(0, 255).astype(np.uint8)
        if output.dtype == np.float32:
            return output[0]
        return (output[0].astype(np.float32) - self.zero_point) * np.float32(self.scale)


def read_input(interpreter, metadata: FileMetadata | None) -> Input:
    """Read what an interpreter's model takes.

    Args:
        interpreter: A TFLite interpreter.
        metadata: What the file says about itself, None for foreign files.

    Raises:
        ValueError: It takes no single image.
    """
    details = interpreter.get_input_details()
    shapes = [tuple(int(side) for side in entry["shape"]) for entry in details]
    if len(shapes) != 1 or len(shapes[0]) != 4 or shapes[0][::3] != (1, 3):
        raise ValueError(f"it takes {shapes} and not one RGB image (1, H, W, 3).")
    (entry,) = details
    dtype = np.dtype(entry["dtype"])
    if dtype.name not in ("float32", "uint8", "int8"):
        raise ValueError(f"it takes {dtype}, not float32, uint8 or int8.")
    size = shapes[0][1:3]
    if metadata is not None and metadata.input_size != size:
        raise ValueError(
            f"it takes images of {size}, its metadata says {metadata.input_size}."
        )
    return Input(int(entry["index"]), size, dtype, *_scale(entry))


def read_output(interpreter, metadata: FileMetadata | None) -> Output:
    """Read what an interpreter's model gives.

    Args:
        interpreter: A TFLite interpreter.
        metadata: What the file says about itself, None for foreign files, whose
            classes then have numbers for names.

    Raises:
        ValueError: It gives no segmentation.
    """
    details = interpreter.get_output_details()
    shapes = [tuple(int(side) for side in entry["shape"]) for entry in details]
    dtypes = [np.dtype(entry["dtype"]).name for entry in details]
    if len(shapes) != 1 or len(shapes[0]) not in (3, 4) or shapes[0][0] != 1:
        raise ValueError(f"it gives {shapes}: no mask and no scores.")
    ((_, *_, last),) = shapes
    is_mask = len(shapes[0]) == 3 or last == 1
    if is_mask and dtypes[0] in _MASK_DTYPES:
        kind = "mask"
    elif not is_mask and dtypes[0] in ("float32", "int8", "uint8"):
        kind = "logits"
    else:
        raise ValueError(
            f"it gives {dtypes[0]} of shape {shapes[0]}: no mask and no scores."
        )
    count = last if kind == "logits" else _MAX_CLASSES
    if count > _MAX_CLASSES:
        raise ValueError(f"it has {count} classes; a mask holds up to {_MAX_CLASSES}.")
    if metadata is None:
        labels = numbered_labels(count)
    else:
        labels = metadata.labels
        if (metadata.output == "mask") != (kind == "mask") or (
            kind == "logits" and labels.num_classes != count
        ):
            raise ValueError(
                f"its metadata says {metadata.output} of {labels.num_classes} classes, "
                f"it gives {dtypes[0]} of shape {shapes[0]}."
            )
        kind = metadata.output
    return Output(int(details[0]["index"]), kind, *_scale(details[0]), labels)


def _scale(entry: dict) -> tuple[float, int]:
    """Return a tensor's scale and zero point; those of plain numbers are 1 and 0."""
    scale, zero_point = entry["quantization"]
    return (float(scale), int(zero_point)) if scale else (1.0, 0)
