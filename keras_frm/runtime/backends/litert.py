"""`.tflite` files, by the TFLite interpreter of whichever package a device has."""

import importlib
from types import ModuleType

import numpy as np

from keras_frm.runtime.backends.network import Network, NetworkOptions
from keras_frm.runtime.backends.tensors import TensorDetails
from keras_frm.runtime.tflite import metadata_zip
from keras_frm.runtime.tflite.check import check_tflite
from keras_frm.runtime.trial import try_apart

# In order of preference; the last one is large and slow to import.
_RUNTIMES = {
    "ai_edge_litert": "ai_edge_litert.interpreter",
    "tflite_runtime": "tflite_runtime.interpreter",
    "tensorflow": "tensorflow.lite",
}


class TFLiteNetwork(Network):
    """A `.tflite` file that is open, see `Network`.

    Args:
        content: The file.
        options: How it is opened.

    Attributes:
        interpreter: An interpreter of the file with allocated tensors.
    """

    def __init__(self, content: bytes, options: NetworkOptions):
        self.interpreter = open_tflite(
            content, options.num_threads, verify=options.verify
        )
        super().__init__(
            runtime_name(),
            metadata_zip.read(content),
            _details(self.interpreter.get_input_details()),
            _details(self.interpreter.get_output_details()),
            options.size,
        )

    def run(self, image: np.ndarray) -> np.ndarray:
        self.interpreter.set_tensor(self._input.key, self._input.prepare(image))
        self.interpreter.invoke()
        output = self.interpreter.get_tensor(self._output.key)  # a copy
        return self._output.decode(output)

    def invoke(self) -> None:
        self.interpreter.invoke()


open_network = TFLiteNetwork


def open_tflite(content: bytes, num_threads: int, *, verify: bool = True):
    """Check a file of unknown origin and load it into an interpreter.

    Args:
        content: The file.
        num_threads: Threads of the interpreter.
        verify: Whether the file is loaded and run in a process of its own first, which
            holds back what crashes or stalls the interpreter.

    Returns:
        An `Interpreter` with allocated tensors.

    Raises:
        ImportError: No interpreter is installed.
        ModelFileError: The file is damaged or not to be run.
        ValueError: The interpreter refuses the model.
        RuntimeError: The interpreter cannot prepare the model.
    """
    check_tflite(content)
    if verify:
        try_apart(content, __name__, _runtime_version(), num_threads)
    return load_interpreter(content, num_threads)


def load_interpreter(content: bytes, num_threads: int):
    """Load a model into an interpreter and allocate its tensors.

    Args:
        content: A .tflite file that is trusted: the interpreter itself checks little.
            `open_tflite` is for all others.
        num_threads: Threads it may use.

    Returns:
        An `Interpreter` of ai_edge_litert, tflite_runtime or tensorflow.lite.

    Raises:
        ImportError: None of them is installed.
        ValueError: The interpreter refuses the model.
        RuntimeError: The interpreter cannot prepare the model.
    """
    _, module = _runtime()
    interpreter = module.Interpreter(model_content=content, num_threads=num_threads)
    interpreter.allocate_tensors()
    return interpreter


def exercise(content: bytes, num_threads: int) -> None:
    """Load and run a file of unknown origin; only for a process that may crash.

    Args:
        content: The file.
        num_threads: Threads of the interpreter.

    Raises:
        ValueError: The interpreter refuses the model, or computes other shapes than
            the file states.
        RuntimeError: The interpreter cannot prepare or run the model.
    """
    _check_shapes(content)
    interpreter = load_interpreter(content, num_threads)
    random = np.random.default_rng(0)
    for _ in range(2):
        for entry in interpreter.get_input_details():
            values = random.integers(0, 256, entry["shape"])
            if entry["dtype"] in (np.int32, np.int64):  # may be indices
                values[:] = 0
            interpreter.set_tensor(entry["index"], values.astype(entry["dtype"]))
        interpreter.invoke()
        for entry in interpreter.get_output_details():
            interpreter.get_tensor(entry["index"])


def runtime_name() -> str:
    """Return the package whose interpreter is used, such as "ai_edge_litert".

    Raises:
        ImportError: None is installed.

    Example:
    >>> runtime_name() in ("ai_edge_litert", "tflite_runtime", "tensorflow")
    True
    """
    return _runtime()[0]


def _details(entries) -> list[TensorDetails]:
    """Return what an interpreter says of its inputs or outputs."""
    return [
        TensorDetails(
            int(entry["index"]),
            tuple(int(side) for side in entry["shape"]),
            np.dtype(entry["dtype"]).name,
            # The scale of plain numbers is 0.
            float(entry["quantization"][0]) or 1.0,
            int(entry["quantization"][1]),
        )
        for entry in entries
    ]


def _check_shapes(content: bytes) -> None:
    """Compare the shapes that a file states with those that its operators give.

    Kernels allocate what they compute; delegates believe the file, and write past the
    end of a tensor that is too small.
    """
    _, module = _runtime()
    resolvers = getattr(module, "OpResolverType", None)
    resolvers = resolvers or module.experimental.OpResolverType
    interpreter = module.Interpreter(
        model_content=content,
        experimental_op_resolver_type=resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    stated = interpreter.get_tensor_details()
    interpreter.allocate_tensors()
    computed = {d["index"]: d["shape"] for d in interpreter.get_tensor_details()}
    for entry in stated:
        shapes = [tuple(s.tolist()) for s in (entry["shape"], computed[entry["index"]])]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"it is damaged: tensor '{entry['name'][:80]}' is {shapes[0]} instead "
                f"of {shapes[1]}"
            )


def _runtime() -> tuple[str, ModuleType]:
    """Return the first interpreter that is installed, and its package's name."""
    for name, module in _RUNTIMES.items():
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        if name == "tensorflow":  # its `lite` is an attribute, not a module
            return name, importlib.import_module(name).lite
        return name, importlib.import_module(module)
    raise ImportError(
        "No TFLite interpreter is installed. Run: pip install ai-edge-litert "
        "(or, on old boards, tflite-runtime)."
    )


def _runtime_version() -> str:
    name = runtime_name()
    package = importlib.import_module(name)
    return f"{name} {getattr(package, '__version__', 'unknown')}"
