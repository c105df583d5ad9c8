"""What an exported network puts out: class ids, logits or probabilities."""

import keras
from keras import ops

from keras_frm.backend.private_hooks import maker_of
from keras_frm.backend.tensorflow.argmax import argmax
from keras_frm.graph.graph import named
from keras_frm.quantization.layers.fake_quant import FakeQuant
from keras_frm.runtime.file_metadata import OUTPUTS

_RESIZING = {"Resize", "QuantizedResize"}


def at_stride(model: keras.Model, output_stride: int) -> keras.Model:
    """Return a network whose logits have a given stride.

    Args:
        model: A Functional model of static size that puts out logits.
        output_stride: 1 for the input's size; the network's own stride (4 for FRM) to
            leave out the resizing at its end.

    Raises:
        ValueError: The network's logits have another stride, which the message names.

    Example:
    >>> image = keras.Input(batch_shape=(1, 64, 64, 3))
    >>> logits = keras.layers.Conv2D(2, 8, strides=8)(image)
    >>> model = keras.Model(image, ops.image.resize(logits, (64, 64)))
    >>> at_stride(model, 8).output.shape
    (1, 8, 8, 2)
    """
    own = _before_last_resize(model.output)
    by_stride = {_stride(model.input, logits): logits for logits in (own, model.output)}
    by_stride.pop(None, None)
    if not by_stride:
        raise ValueError(
            f"Images of {model.input.shape[1]}x{model.input.shape[2]} pixels become "
            f"logits of {own.shape[1]}x{own.shape[2]}: that is no whole stride."
        )
    if output_stride in by_stride:
        return keras.Model(model.input, by_stride[output_stride], name=model.name)
    strides = " or ".join(str(stride) for stride in sorted(by_stride))
    raise ValueError(
        f"output_stride={output_stride} cannot be had: the logits of network "
        f"'{model.name}' have stride {max(by_stride)}; pass {strides}."
    )


def _before_last_resize(output):
    """Return what is resized to become an output, the output if nothing is."""
    maker, taken = maker_of(output)
    while isinstance(maker, FakeQuant):  # the resized logits, rounded
        maker, taken = maker_of(taken[0])
    return taken[0] if type(maker).__name__ in _RESIZING else output


def _stride(image, logits):
    """Return the stride of logits, None for no whole one; sizes round up."""
    sides = list(zip(image.shape[1:3], logits.shape[1:3], strict=True))
    fitting = [
        stride
        for stride in range(1, max(image.shape[1:3]) + 1)
        if all(-(-side // stride) == out for side, out in sides)
    ]
    # Of a small image several strides fit; networks halve their features.
    powers = [stride for stride in fitting if stride & (stride - 1) == 0]
    return next(iter(powers or fitting), None)


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
