"""`.onnx` files, by OpenVINO on the processor."""

import importlib
import io

import numpy as np

from keras_frm.errors import ArgumentError
from keras_frm.processor import multiplies_bytes
from keras_frm.runtime.backends.network import Network, NetworkOptions
from keras_frm.runtime.backends.tensors import TensorDetails, read_input
from keras_frm.runtime.onnx.check import check_onnx
from keras_frm.runtime.trial import try_apart

_DTYPES = {
    "f32": "float32",
    "f16": "float16",
    "u8": "uint8",
    "i8": "int8",
    "i32": "int32",
    "i64": "int64",
}


class OpenVinoNetwork(Network):
    """An `.onnx` file that is open in OpenVINO, see `Network`.

    Args:
        content: The file.
        options: How it is opened.
    """

    def __init__(self, content: bytes, options: NetworkOptions):
        openvino = _openvino()
        metadata = check_onnx(content)
        if options.verify:
            version = f"openvino {openvino.__version__}"
            try_apart(content, __name__, version, options.num_threads, options.size)
        model = _read(content)
        ends = _details(model.inputs), _details(model.outputs)
        super().__init__("openvino", metadata, *ends, options.size)
        image = self._input.blank()
        model.reshape(image.shape)
        self._request = _compile(model, options.num_threads).create_infer_request()
        self._feed = [image]

    def run(self, image: np.ndarray) -> np.ndarray:
        self._feed = [self._input.prepare(image)]
        self.invoke()
        output = self._request.get_output_tensor(0).data
        return self._output.decode(output.copy())

    def invoke(self) -> None:
        self._request.infer(self._feed)


open_network = OpenVinoNetwork


def exercise(
    content: bytes, num_threads: int, size: tuple[int, int] | None = None
) -> None:
    """Load and run a file of unknown origin; only for a process that may crash.

    Args:
        content: The file.
        num_threads: Threads of the runtime.
        size: Height and width to take where the file leaves them open.

    Raises:
        ValueError: It takes no image.
        RuntimeError: The runtime refuses the file.
    """
    model = _read(content)
    try:
        taken = read_input(_details(model.inputs), check_onnx(content), size)
    except ArgumentError:  # it needs a size, which whoever opens it will say
        return
    image = taken.blank()
    model.reshape(image.shape)
    _compile(model, num_threads).create_infer_request().infer([image])


def _read(content):
    return _openvino().Core().read_model(io.BytesIO(content))


def _compile(model, num_threads):
    # By default the hint of latency; float32 where a processor would take bfloat16.
    config = {"INFERENCE_NUM_THREADS": num_threads, "INFERENCE_PRECISION_HINT": "f32"}
    if not multiplies_bytes():  # its int8 kernels would give another network
        config["LP_TRANSFORMS_MODE"] = "NO"
    return _openvino().Core().compile_model(model, "CPU", config)


def _openvino():
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise ImportError(
            "OpenVINO is not installed. Run: pip install openvino"
        ) from error


def _details(tensors) -> list[TensorDetails]:
    """Return what a model says of its inputs or outputs."""
    return [
        TensorDetails(
            index,
            tuple(
                None if side.is_dynamic else side.get_length()
                for side in tensor.get_partial_shape()
            ),
            _DTYPES.get(tensor.get_element_type().get_type_name(), "unknown"),
        )
        for index, tensor in enumerate(tensors)
    ]
