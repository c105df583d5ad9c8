"""What goes into a model and what comes out: sizes, layouts, dtypes and scales."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keras_frm.errors import ArgumentError
from keras_frm.labels import LabelSet, numbered_labels
from keras_frm.runtime.file_metadata import FileMetadata

_MAX_CLASSES = 255
_MASK_DTYPES = ("uint8", "int32", "int64")
_FLOATS = ("float32", "float16")
_INTEGERS = ("uint8", "int8")


class TensorDetails(NamedTuple):
    """What a runtime says of an input or output.

    Args:
        key: By which the runtime knows it: an index or a name.
        shape: Its sizes; None where the file leaves one open.
        dtype: Name of its dtype.
        scale: Of its integers; 1 for plain numbers.
        zero_point: Of its integers.
    """

    key: int | str
    shape: tuple[int | None, ...]
    dtype: str
    scale: float = 1.0
    zero_point: int = 0


class Input(NamedTuple):
    """The input: its key, (height, width), dtype, scale, zero point and layout."""

    key: int | str
    size: tuple[int, int]
    dtype: np.dtype
    scale: float
    zero_point: int
    channels_first: bool

    def blank(self) -> np.ndarray:
        """Return a black image as the tensor takes it."""
        return self.prepare(np.zeros((*self.size, 3), np.uint8))

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Return an RGB image as the tensor takes it.

        Args:
            image: (H, W, 3) uint8 RGB of the tensor's size.

        Returns:
            (1, H, W, 3) or (1, 3, H, W) in the tensor's dtype.
        """
        if self.dtype.name not in _FLOATS:
            limits = np.iinfo(self.dtype)
            levels = np.rint(np.arange(256) / self.scale) + self.zero_point
            image = levels.clip(limits.min, limits.max).astype(self.dtype)[image]
        if self.channels_first:
            image = image.transpose(2, 0, 1)  # (3, H, W)
        return np.ascontiguousarray(image[None], self.dtype)


class Output(NamedTuple):
    """The output: its key, kind, scale, zero point, layout, and the classes."""

    key: int | str
    kind: str
    scale: float
    zero_point: int
    channels_first: bool
    labels: LabelSet

    def decode(self, output: np.ndarray) -> np.ndarray:
        """Return the tensor's content as a mask or as scores.

        Args:
            output: (1, h, w), (1, h, w, 1), (1, h, w, C) or (1, C, h, w).

        Returns:
            (h, w) uint8, or (h, w, C) float32.

        Raises:
            ValueError: It has another number of dimensions.
        """
        if self.channels_first and output.ndim == 4:
            output = output.transpose(0, 2, 3, 1)  # (1, h, w, C)
        if self.kind == "mask":
            mask = output.reshape(output.shape[1:3])
            return mask.clip(0, 255).astype(np.uint8)
        if output.ndim != 4:
            raise ValueError(f"it gives {output.shape}: no scores.")
        output = output[0].astype(np.float32, copy=False)
        if (self.scale, self.zero_point) == (1.0, 0):
            return output
        return (output - self.zero_point) * np.float32(self.scale)


def read_input(
    tensors: Sequence[TensorDetails],
    metadata: FileMetadata | None,
    size: tuple[int, int] | None = None,
) -> Input:
    """Read what a model takes.

    Args:
        tensors: Its inputs.
        metadata: What the file says about itself, None for foreign files.
        size: Height and width to take where the file leaves them open.

    Raises:
        ArgumentError: It takes images of any size and none is given.
        ValueError: It takes no single image, or has another size than `size`.

    Example:
    >>> tensor = TensorDetails("image", (None, 3, 64, 96), "float32")
    >>> read_input([tensor], None).size
    (64, 96)
    """
    if len(tensors) != 1 or not _is_image(tensors[0].shape):
        shapes = ", ".join(_shown(tensor.shape) for tensor in tensors)
        raise ValueError(f"it takes {shapes} and not one RGB image (1, H, W, 3).")
    (tensor,) = tensors
    if tensor.dtype not in _FLOATS + _INTEGERS:
        raise ValueError(f"it takes {tensor.dtype}, not float32, uint8 or int8.")
    first = tensor.shape[3] != 3
    stated = tensor.shape[2:] if first else tensor.shape[1:3]
    if metadata is not None and metadata.input_size != stated:
        raise ValueError(
            f"it takes images of {stated}, its metadata says {metadata.input_size}."
        )
    return Input(
        key=tensor.key,
        size=_chosen_size(stated, size),
        dtype=np.dtype(tensor.dtype),
        scale=tensor.scale,
        zero_point=tensor.zero_point,
        channels_first=first,
    )


def read_output(
    tensors: Sequence[TensorDetails],
    metadata: FileMetadata | None,
    channels_first: bool = False,
) -> Output:
    """Read what a model gives.

    Args:
        tensors: Its outputs.
        metadata: What the file says about itself, None for foreign files, whose
            classes then have numbers for names.
        channels_first: Whether scores are (1, C, h, w), as the image is.

    Raises:
        ValueError: It gives no segmentation.

    Example:
    >>> tensor = TensorDetails("logits", (1, 16, 24, 11), "float32")
    >>> read_output([tensor], None).labels.num_classes
    11
    """
    shapes = [tensor.shape for tensor in tensors]
    if (
        len(shapes) != 1
        or len(shapes[0]) not in (3, 4)
        or shapes[0][0] not in (1, None)
    ):
        raise ValueError(
            f"it gives {', '.join(map(_shown, shapes))}: no mask and no scores."
        )
    (tensor,) = tensors
    channels = 1 if len(tensor.shape) == 3 else tensor.shape[1 if channels_first else 3]
    if channels == 1 and tensor.dtype in _MASK_DTYPES:
        kind = "mask"
    elif channels != 1 and tensor.dtype in _FLOATS + _INTEGERS:
        kind = "logits"
    else:
        raise ValueError(
            f"it gives {tensor.dtype} of shape {_shown(tensor.shape)}: no mask and no "
            "scores."
        )
    count = channels if kind == "logits" and channels is not None else _MAX_CLASSES
    if count > _MAX_CLASSES:
        raise ValueError(f"it has {count} classes; a mask holds up to {_MAX_CLASSES}.")
    labels = numbered_labels(count)
    if metadata is not None:
        labels = metadata.labels
        if (metadata.output == "mask") != (kind == "mask") or (
            kind == "logits" and labels.num_classes != count
        ):
            raise ValueError(
                f"its metadata says {metadata.output} of {labels.num_classes} classes, "
                f"it gives {tensor.dtype} of shape {_shown(tensor.shape)}."
            )
        kind = metadata.output
    return Output(
        key=tensor.key,
        kind=kind,
        scale=tensor.scale,
        zero_point=tensor.zero_point,
        channels_first=channels_first and len(tensor.shape) == 4,
        labels=labels,
    )


def _is_image(shape) -> bool:
    batch, *sides = shape if len(shape) == 4 else (0,)
    return batch in (1, None) and 3 in (sides[0], sides[2])


def _is_map(shape) -> bool:
    return len(shape) in (3, 4) and shape[0] in (1, None)


def _chosen_size(stated, wanted) -> tuple[int, int]:
    """Return the input's size: the file's if it has one, the wanted one if not."""
    if all(stated):
        if wanted is not None and tuple(wanted) != tuple(stated):
            raise ValueError(f"it takes images of {stated}, not {tuple(wanted)}.")
        return tuple(stated)
    if wanted is None:
        raise ArgumentError(
            "it takes images of any size", "size", "pass size=(height, width)"
        )
    return tuple(wanted)


def _shown(shape) -> str:
    return f"({', '.join('?' if side is None else str(side) for side in shape)})"
