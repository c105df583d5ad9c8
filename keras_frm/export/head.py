"""What an exported network puts out: class ids, logits or probabilities."""

import keras
from keras import ops

from keras_frm.backend.tensorflow.argmax import argmax
from keras_frm.graph.graph import named
from keras_frm.runtime.file_metadata import OUTPUTS


def check_output(output: str) -> None:
    """Raise a ValueError where there is no output of a name."""
    if output not in OUTPUTS:
        raise ValueError(
            f"There is no output '{output}'. Choose one of: {', '.join(OUTPUTS)}"
        )


def with_head(model: keras.Model, output: str) -> keras.Model:
    """Return a network that puts out what an app needs of the logits.

    Args:
        model: A Functional model that puts out logits.
        output: "mask" (uint8 class ids), "logits", or "scores" (softmax).

    Raises:
        ValueError: There is no such output.
    """
    check_output(output)
    result = model.output  # (1, H, W, C)
    if output == "mask":
        result = ClassIds(name="mask")(result)  # (1, H, W)
    elif output == "scores":
        result = named(ops.softmax(result, axis=-1), "scores")  # (1, H, W, C)
    return keras.Model(model.input, result, name=model.name)


@keras.saving.register_keras_serializable(package="keras_frm")
class ClassIds(keras.layers.Layer):
    """Take the class of the largest logit; the first one of equals.

    Input: logits (B, H, W, C) of at most 255 classes. Output: (B, H, W) uint8.

    Example:
    >>> ClassIds()(keras.ops.array([[[[0.0, 2.0, 1.0]]]])).numpy().tolist()
    [[[1]]]
    """

    def build(self, input_shape):
        self.built = True

    def call(self, logits):
        return ops.cast(argmax(logits), "uint8")

    def compute_output_spec(self, logits):
        return keras.KerasTensor(logits.shape[:-1], dtype="uint8")
