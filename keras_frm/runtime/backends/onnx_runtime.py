"""`.onnx` files, by ONNX Runtime: on the processor, by CUDA or by TensorRT."""

import importlib

import numpy as np

from keras_frm.errors import ArgumentError
from keras_frm.runtime.backends.network import Network, NetworkOptions
from keras_frm.runtime.backends.tensors import TensorDetails, read_input
from keras_frm.runtime.onnx.check import check_onnx
from keras_frm.runtime.trial import try_apart

_CPU = "CPUExecutionProvider"
_PROVIDERS = {
    "cpu": [_CPU],
    "cuda": ["CUDAExecutionProvider", _CPU],
    "tensorrt": ["TensorrtExecutionProvider", "CUDAExecutionProvider", _CPU],
}
_FATAL_ONLY = 4  # of the runtime's levels of messages
# It rounds a bias to the product of two scales, which float16 does not hold.
_DISABLED = ["WeightBiasQuantization"]


class OnnxNetwork(Network):
    """An `.onnx` file that is open in ONNX Runtime, see `Network`.

    Args:
        content: The file.
        options: How it is opened.

    Attributes:
        feed: Name of the input -> the image that is in place.
    """

    def __init__(self, content: bytes, options: NetworkOptions):
        onnxruntime = _onnxruntime()
        _check_provider(onnxruntime, options.provider)
        metadata = check_onnx(content)
        if options.verify:
            version = f"onnxruntime {onnxruntime.__version__}"
            try_apart(content, __name__, version, options.num_threads, options.size)
        self._session = load_session(
            content, session_options(options.num_threads), options.provider
        )
        super().__init__(
            "onnxruntime",
            metadata,
            _details(self._session.get_inputs()),
            _details(self._session.get_outputs()),
            options.size,
        )
        self.feed = {self._input.key: self._input.blank()}

    def run(self, image: np.ndarray) -> np.ndarray:
        self.feed = {self._input.key: self._input.prepare(image)}
        return self._output.decode(self.invoke())

    def invoke(self) -> np.ndarray:
        # Its exceptions have no common base but Exception.
        try:
            return self._session.run([self._output.key], self.feed)[0]
        except Exception as error:
            raise RuntimeError(_reason(error)) from error


open_network = OnnxNetwork


def exercise(
    content: bytes, num_threads: int, size: tuple[int, int] | None = None
) -> None:
    """Load and run a file of unknown origin; only for a process that may crash.

    Args:
        content: The file.
        num_threads: Threads of the runtime.
        size: Height and width to take where the file leaves them open.

    Raises:
        ValueError: The runtime refuses the file, or it takes no image.
        RuntimeError: The runtime cannot run it.
    """
    session = load_session(content, session_options(num_threads))
    try:
        taken = read_input(_details(session.get_inputs()), check_onnx(content), size)
    except ArgumentError:  # it needs a size, which whoever opens it will say
        return
    session.run(None, {taken.key: taken.blank()})


def session_options(num_threads: int):
    """Return the runtime's options for all sessions of this package.

    Args:
        num_threads: Threads of the runtime.
    """
    options = _onnxruntime().SessionOptions()
    options.intra_op_num_threads = num_threads
    options.log_severity_level = _FATAL_ONLY
    # Without VNNI it would add products of uint8 and int8 in 16 bits, which saturate.
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    return options


def load_session(content: bytes, options, provider: str = "cpu"):
    """Load a model into the runtime.

    Args:
        content: An .onnx file that was checked.
        options: See `session_options`.
        provider: "cpu", "cuda" or "tensorrt".

    Raises:
        ValueError: The runtime refuses the model.
    """
    try:
        return _onnxruntime().InferenceSession(
            content,
            options,
            providers=_PROVIDERS[provider],
            disabled_optimizers=_DISABLED,
        )
    # Its exceptions have no common base but Exception.
    except Exception as error:
        raise ValueError(_reason(error)) from error


def _check_provider(onnxruntime, provider: str) -> None:
    wanted = _PROVIDERS[provider][0]
    if wanted not in (there := onnxruntime.get_available_providers()):
        raise ImportError(
            f"This ONNX Runtime has no {wanted}, only {', '.join(there)}. Install the "
            "onnxruntime-gpu of this machine's CUDA or JetPack, or run on 'cpu'."
        )


def _onnxruntime():
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise ImportError(
            "ONNX Runtime is not installed, which runs .onnx files. Run: "
            "pip install onnxruntime"
        ) from error


def _details(tensors) -> list[TensorDetails]:
    """Return what a session says of its inputs or outputs."""
    return [
        TensorDetails(
            tensor.name,
            # Sides that are left open have a name or None.
            tuple(side if isinstance(side, int) else None for side in tensor.shape),
            _dtype(tensor.type),
        )
        for tensor in tensors
    ]


def _dtype(kind: str) -> str:
    """Return NumPy's name of a type such as "tensor(float)"."""
    name = kind.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(name, name)


def _reason(error: Exception) -> str:
    """Return an error's message in one line, without the place in the source."""
    return " ".join(str(error).split()) or type(error).__name__
