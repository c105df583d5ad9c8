"""TensorFlow's converter to TFLite, with its errors in one line."""

import contextlib
import os
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf
from absl import logging


class ConversionError(ValueError):
    """A graph that TFLite has no operations for."""


def convert(
    graph: keras.Model,
    configure: Callable[[tf.lite.TFLiteConverter], None] = lambda converter: None,
) -> bytes:
    """Convert a graph of static shape.

    Args:
        graph: A Functional model; its first input is named `image` in the file.
        configure: Sets the converter's options.

    Returns:
        The flatbuffer.

    Raises:
        ConversionError: There is no TFLite operation for a part of the graph.

    Example:
    >>> x = keras.Input(batch_shape=(1, 8, 8, 3))
    >>> convert(keras.Model(x, keras.layers.Conv2D(2, 3)(x)))[4:8]
    b'TFL3'
    """
    names = ["image", *(f"input_{i}" for i in range(1, len(graph.inputs)))]
    signature = [
        tf.TensorSpec(tensor.shape, tensor.dtype, name)
        for tensor, name in zip(graph.inputs, names, strict=True)
    ]

    @tf.function(input_signature=signature, autograph=False)
    def run(*images):
        return graph(images if len(images) > 1 else images[0], training=False)

    with _quiet():
        # Without the object that owns the variables, they become constants.
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [run.get_concrete_function()]
        )
        configure(converter)
        try:
            with _no_stderr():
                return converter.convert()
        # The converter raises its own class, or whatever TensorFlow raises.
        except Exception as error:
            raise ConversionError(_in_one_line(error)) from error


def _in_one_line(error):
    """Return what a converter's error of many lines says."""
    found = re.findall(r"^(?:TF Select|Custom) ops: (.+)$", str(error), re.MULTILINE)
    names = sorted({name for line in found for name in line.split(", ")})
    if names:
        return f"TFLite has no operation {' and no '.join(names)}."
    first = str(error).strip().partition("\n")[0][:200]
    return f"TensorFlow's converter to TFLite failed: {first}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep advice from the terminal that does not fit this use of the converter."""
    verbosity = logging.get_verbosity()
    # It advises to pass the owner of the variables, which would keep them variable.
    logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Ranges are in the graph: the converter needs no other statistics.
            warnings.filterwarnings("ignore", message="Statistics for quantized inputs")
            yield
    finally:
        logging.set_verbosity(verbosity)


@contextlib.contextmanager
def _no_stderr() -> Iterator[None]:
    """Keep from the terminal what the converter's C++ writes besides its error."""
    kept = os.dup(2)
    try:
        with tempfile.TemporaryFile() as sink:
            os.dup2(sink.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(kept, 2)
    finally:
        os.close(kept)
