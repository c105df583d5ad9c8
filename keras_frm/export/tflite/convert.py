"""From a Keras graph to the bytes of a TFLite file."""

import contextlib
import warnings
from collections.abc import Iterator

import keras
import tensorflow as tf
from absl import logging

from keras_frm.targets import Target, rewrite


def to_tflite(graph: keras.Model, target: Target) -> bytes:
    """Convert a graph of static shape.

    Args:
        graph: A Functional model of batch 1, with simulated quantisation in it where
            the target is an integer one.
        target: What the file is for.

    Returns:
        The flatbuffer.
    """
    graph = rewrite(graph, target.conversion_passes)

    @tf.function(
        input_signature=[tf.TensorSpec(graph.input.shape, tf.float32, name="image")]
    )
    def run(image):
        return graph(image, training=False)

    # Without the object that owns the variables, they become constants.
    with _quiet():
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [run.get_concrete_function()]
        )
    if target.weights != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if target.weights == "float16":
        converter.target_spec.supported_types = [tf.float16]
    converter.inference_input_type = tf.as_dtype(target.input_dtype)
    if not target.keeps_float and graph.output.dtype == "float32":
        converter.inference_output_type = tf.uint8
    with _quiet():
        return converter.convert()


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
