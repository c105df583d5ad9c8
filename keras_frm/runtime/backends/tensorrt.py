"""`.engine` files, by TensorRT on the GPU that they were built on."""

import numpy as np

from keras_frm.runtime.backends.network import Network, NetworkOptions
from keras_frm.runtime.backends.tensors import TensorDetails
from keras_frm.runtime.tensorrt.cuda import Buffer, Stream, device_name, use_device
from keras_frm.runtime.tensorrt.plan_file import read_beside, tensorrt


class TensorRtNetwork(Network):
    """An engine that is open in TensorRT, see `Network`.

    An engine is a program for the GPU. Nothing checks what it does: it must come from
    who opens it.

    Args:
        content: The file.
        options: How it is opened.
    """

    def __init__(self, content: bytes, options: NetworkOptions):
        known = read_beside(options.path, content)
        trt = tensorrt()
        _check_machine(known, trt.__version__)
        use_device()
        runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
        engine = runtime.deserialize_cuda_engine(content)
        if engine is None:
            raise ValueError(
                f"TensorRT {trt.__version__} refuses it on this {device_name()}: it is "
                "damaged, or of another GPU or version; build it here."
            )
        taken, given = _details(trt, engine)
        metadata = known and known.metadata
        super().__init__("tensorrt", metadata, taken, given, options.size)
        self._result = np.empty(given[0].shape, given[0].dtype)
        image = self._input.blank()
        self._taken, self._given = Buffer(image.nbytes), Buffer(self._result.nbytes)
        self._taken.write(image)
        self._stream = Stream()
        # The engine must outlive its context.
        self._engine, self._context = engine, engine.create_execution_context()
        self._context.set_tensor_address(self._input.key, self._taken.address)
        self._context.set_tensor_address(self._output.key, self._given.address)

    def run(self, image: np.ndarray) -> np.ndarray:
        use_device()  # whatever thread this is
        self._taken.write(self._input.prepare(image))
        self.invoke()
        self._given.read(self._result)
        return self._output.decode(self._result.copy())

    def invoke(self) -> None:
        use_device()
        if not self._context.execute_async_v3(self._stream.handle):
            raise RuntimeError("TensorRT could not run it; what it said is above")
        self._stream.wait()


open_network = TensorRtNetwork


def _check_machine(known, version: str) -> None:
    """Refuse an engine that was built elsewhere, before it is loaded."""
    if known is None:
        return
    if known.tensorrt != version:
        raise ValueError(
            f"it was built by TensorRT {known.tensorrt}, here is {version}; build it "
            "here."
        )
    if known.gpu != (gpu := device_name()):
        raise ValueError(f"it was built on {known.gpu}, here is {gpu}; build it here.")


def _details(trt, engine) -> tuple[list[TensorDetails], list[TensorDetails]]:
    """Return the inputs and the outputs of an engine."""
    tensors = {trt.TensorIOMode.INPUT: [], trt.TensorIOMode.OUTPUT: []}
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        details = TensorDetails(
            name,
            tuple(None if side < 1 else side for side in engine.get_tensor_shape(name)),
            np.dtype(trt.nptype(engine.get_tensor_dtype(name))).name,
        )
        tensors[engine.get_tensor_mode(name)].append(details)
    return tensors[trt.TensorIOMode.INPUT], tensors[trt.TensorIOMode.OUTPUT]
