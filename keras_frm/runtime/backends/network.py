"""A model file that is open, whatever runs it; and which backend opens which kind."""

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_frm.errors import ArgumentError
from keras_frm.runtime.backends.tensors import TensorDetails, read_input, read_output
from keras_frm.runtime.errors import ModelFileError
from keras_frm.runtime.file_metadata import FileMetadata

# File ending -> provider -> module with `open_network(content, NetworkOptions)`, which
# raises ValueError or RuntimeError for what it cannot run. The first is the default.
_ONNX_RUNTIME = "keras_frm.runtime.backends.onnx_runtime"
_BACKENDS = {
    ".tflite": {"cpu": "keras_frm.runtime.backends.litert"},
    ".onnx": {
        "cpu": _ONNX_RUNTIME,
        "cuda": _ONNX_RUNTIME,
        "tensorrt": _ONNX_RUNTIME,
        "openvino": "keras_frm.runtime.backends.openvino",
    },
    ".engine": {"cuda": "keras_frm.runtime.backends.tensorrt"},
}
MODEL_ENDINGS = tuple(_BACKENDS)
_MAX_FILE_BYTES = 2**31 - 1


class NetworkOptions(NamedTuple):
    """How a model file is opened.

    Args:
        num_threads: Threads of the runtime.
        verify: Whether the file runs in a process of its own first.
        size: Height and width to take where the file leaves them open.
        provider: What runs it, see `Segmenter`.
        path: The file, for what lies beside it.
    """

    num_threads: int
    verify: bool = True
    size: tuple[int, int] | None = None
    provider: str = "cpu"
    path: Path = Path()


class Network:
    """A model file that is open, whatever runs it; one call at a time.

    Args:
        runtime: Name of the package that runs it.
        metadata: What the file says about itself; None for foreign files.
        taken: Its inputs.
        given: Its outputs.
        size: Height and width to take where the file leaves them open.

    Attributes:
        input_size: Height and width that the network sees, in pixels.
        labels: Names and colours of the classes.
        output: "mask", "logits" or "scores".

    Raises:
        ArgumentError: It takes images of any size and none is given.
        ValueError: It is no segmentation network.
    """

    def __init__(
        self,
        runtime: str,
        metadata: FileMetadata | None,
        taken: Sequence[TensorDetails],
        given: Sequence[TensorDetails],
        size: tuple[int, int] | None,
    ):
        self.runtime = runtime
        self.metadata = metadata
        self._input = read_input(taken, metadata, size)
        self._output = read_output(given, metadata, self._input.channels_first)
        self.input_size = self._input.size
        self.labels = self._output.labels
        self.output = self._output.kind

    def run(self, image: np.ndarray) -> np.ndarray:
        """Return what the network makes of an image.

        Args:
            image: (H, W, 3) uint8 RGB of the input's size.

        Returns:
            (h, w) uint8 class ids, or (h, w, C) float32 logits or scores.
        """
        raise NotImplementedError

    def invoke(self) -> object:
        """Run once more on the image that is in place, to be timed."""
        raise NotImplementedError


def open_network(
    path: str | os.PathLike,
    num_threads: int,
    *,
    verify: bool = True,
    size: tuple[int, int] | None = None,
    provider: str | None = None,
) -> Network:
    """Open a model file with the backend of its ending.

    Args:
        path: The file.
        num_threads: Threads of the runtime.
        verify: Whether the file runs in a process of its own first.
        size: Height and width to take where the file leaves them open.
        provider: What runs it, see `Segmenter`; None takes the first of its ending.

    Raises:
        FileNotFoundError: There is no such file.
        ModelFileError: It is damaged, of unknown kind, or no segmentation network.
        ArgumentError: It needs a `size`.
        ValueError: Nothing of the provider's name runs such files.
        ImportError: No runtime for it is installed.

    Example:
    >>> open_network("missing.tflite", 1)
    Traceback (most recent call last):
    FileNotFoundError: There is no model file 'missing.tflite'.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no model file '{path}'.")
    ending = path.suffix.lower()
    if ending not in _BACKENDS:
        raise ModelFileError(
            f"Cannot use model '{path}': its ending is none of {', '.join(_BACKENDS)}."
        )
    backends = _BACKENDS[ending]
    provider = next(iter(backends)) if provider is None else provider
    if provider not in backends:
        raise ValueError(
            f"Nothing named '{provider}' runs {ending} files. Choose one of: "
            f"{', '.join(backends)}"
        )
    if path.stat().st_size > _MAX_FILE_BYTES:
        raise ModelFileError(f"Model '{path}' is over 2 GB.")
    backend = importlib.import_module(backends[provider])
    options = NetworkOptions(num_threads, verify, size, provider, path)
    try:
        return backend.open_network(path.read_bytes(), options)
    except ArgumentError as error:
        problem = f"Cannot use model '{path}': {error.problem}"
        raise ArgumentError(problem, error.argument, error.remedy) from error
    except (ValueError, RuntimeError, MemoryError) as error:
        raise ModelFileError(f"Cannot use model '{path}': {one_line(error)}") from error


def one_line(error: Exception) -> str:
    r"""Return the first line of an error's message.

    Example:
    >>> one_line(RuntimeError("a\nb"))
    'a'
    """
    return str(error).strip().partition("\n")[0] or type(error).__name__
