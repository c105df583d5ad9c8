"""The TFLite interpreter of whichever package a device has."""

import importlib
from types import ModuleType

# In order of preference; the last one is large and slow to import.
_RUNTIMES = {
    "ai_edge_litert": "ai_edge_litert.interpreter",
    "tflite_runtime": "tflite_runtime.interpreter",
    "tensorflow": "tensorflow.lite",
}


def load_interpreter(content: bytes, num_threads: int):
    """Load a model into an interpreter and allocate its tensors.

    Args:
        content: A checked .tflite file: the interpreter itself checks little.
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


def runtime_name() -> str:
    """Return the package whose interpreter is used, such as "ai_edge_litert".

    Raises:
        ImportError: None is installed.

    Example:
    >>> runtime_name() in ("ai_edge_litert", "tflite_runtime", "tensorflow")
    True
    """
    return _runtime()[0]


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
