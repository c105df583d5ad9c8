"""From a Keras graph to the bytes of a TFLite file."""

import keras
import tensorflow as tf

from keras_frm.backend.tensorflow.tflite_converter import convert
from keras_frm.targets import Target, rewrite


def to_tflite(graph: keras.Model, target: Target) -> bytes:
    """Convert a graph of static shape.

    Args:
        graph: A Functional model of batch 1, with simulated quantisation in it where
            the target is an integer one.
        target: What the file is for.

    Returns:
        The flatbuffer.

    Raises:
        ConversionError: There is no TFLite operation for a part of the graph.
    """

    def configure(converter):
        if target.weights != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if target.weights == "float16":
            converter.target_spec.supported_types = [tf.float16]
        converter.inference_input_type = tf.as_dtype(target.input_dtype)
        if not target.keeps_float and graph.output.dtype == "float32":
            converter.inference_output_type = tf.uint8

    return convert(rewrite(graph, target.conversion_passes), configure)
