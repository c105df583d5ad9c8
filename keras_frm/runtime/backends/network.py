"""A model file that is open, whatever runs it; and which backend opens which kind."""

import importlib
import os
from pathlib import Path
from typing import Protocol

import numpy as np

from keras_frm.labels import LabelSet
from keras_frm.runtime.errors import ModelFileError
from keras_frm.runtime.file_metadata import FileMetadata

# File ending -> module with `open_network(content, num_threads, verify)`, which raises
# ValueError or RuntimeError for what it cannot run.
_BACKENDS = {".tflite": "keras_frm.runtime.backends.litert"}
_MAX_FILE_BYTES = 2**31 - 1


class Network(Protocol):
    """What a backend returns; one call at a time.

    Args:
        runtime: Name of the package that runs it.
        metadata: What the file says about itself; None for foreign files.
        labels: Names and colours of the classes.
        input_size: Height and width that the network sees, in pixels.
        output: "mask", "logits" or "scores".
    """

    runtime: str
    metadata: FileMetadata | None
    labels: LabelSet
    input_size: tuple[int, int]
    output: str

    def run(self, image: np.ndarray) -> np.ndarray:
        """Return what the network makes of an image.

        Args:
            image: (H, W, 3) uint8 RGB of the input's size.

        Returns:
            (h, w) uint8 class ids, or (h, w, C) float32 logits or scores.
        """

    def invoke(self) -> None:
        """Run once more on the image that is in place, to be timed."""


def open_network(
    path: str | os.PathLike, num_threads: int, *, verify: bool = True
) -> Network:
    """Open a model file with the backend of its ending.

    Args:
        path: The file.
        num_threads: Threads of the runtime.
        verify: Whether the file runs in a process of its own first.

    Raises:
        FileNotFoundError: There is no such file.
        ModelFileError: It is damaged, of unknown kind, or no segmentation network.
        ImportError: No runtime for it is installed.

    Example:
    >>> open_network("missing.tflite", 1)
    Traceback (most recent call last):
    FileNotFoundError: There is no model file 'missing.tflite'.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no model file '{path}'.")
    if path.suffix.lower() not in _BACKENDS:
        raise ModelFileError(
            f"Cannot use model '{path}': its ending is none of {', '.join(_BACKENDS)}."
        )
    if path.stat().st_size > _MAX_FILE_BYTES:
        raise ModelFileError(f"Model '{path}' is over 2 GB.")
    backend = importlib.import_module(_BACKENDS[path.suffix.lower()])
    try:
        return backend.open_network(path.read_bytes(), num_threads, verify)
    except (ValueError, RuntimeError, MemoryError) as error:
        raise ModelFileError(f"Cannot use model '{path}': {one_line(error)}") from error


def one_line(error: Exception) -> str:
    r"""Return the first line of an error's message.

    Example:
    >>> one_line(RuntimeError("a\nb"))
    'a'
    """
    return str(error).strip().partition("\n")[0] or type(error).__name__
