"""The strides at which a network can put out its logits."""

import keras

from keras_frm.backend.private_hooks import maker_of

_RESIZING = {"QuantizedResize", "Resize", "Resizing", "UpSampling2D"}
_ROUNDING = {"FakeQuant", "MovingAverageFakeQuant"}


def at_stride(model: keras.Model, output_stride: int) -> keras.Model:
    """Return a network whose logits have a given stride.

    Args:
        model: A Functional model of static size that puts out logits.
        output_stride: 1 for the input's size; the network's own stride (4 for FRM) to
            leave out the bilinear resizing at its end.

    Raises:
        ValueError: The network's logits have another stride, which the message names.

    Example:
    >>> from keras import ops
    >>> image = keras.Input(batch_shape=(1, 64, 64, 3))
    >>> logits = keras.layers.Conv2D(2, 8, strides=8)(image)
    >>> model = keras.Model(image, ops.image.resize(logits, (64, 64)))
    >>> at_stride(model, 8).output.shape
    (1, 8, 8, 2)
    """
    by_stride = logits_by_stride(model)
    if output_stride in by_stride:
        return keras.Model(model.input, by_stride[output_stride], name=model.name)
    strides = " or ".join(str(stride) for stride in sorted(by_stride))
    raise ValueError(
        f"output_stride={output_stride} cannot be had: the logits of network "
        f"'{model.name}' have stride {max(by_stride)}; pass {strides}."
    )


def logits_by_stride(model: keras.Model) -> dict[int, keras.KerasTensor]:
    """Return the logits of a network and those before its last resizing, by stride.

    Args:
        model: A Functional model of static size that puts out logits (B, h, w, C).

    Raises:
        ValueError: No stride makes the image as large as the logits.
    """
    if len(model.output.shape) != 4:
        raise ValueError(
            f"Network '{model.name}' puts out {tuple(model.output.shape)}; logits of "
            "all pixels are expected, (batch, height, width, classes)."
        )
    own = _before_last_resize(model.output)
    by_stride = {_stride(model.input, logits): logits for logits in (own, model.output)}
    by_stride.pop(None, None)
    if not by_stride:
        raise ValueError(
            f"Images of {model.input.shape[1]}x{model.input.shape[2]} pixels become "
            f"logits of {own.shape[1]}x{own.shape[2]}: that is no whole stride."
        )
    return by_stride


def _before_last_resize(output):
    """Return what is resized to become an output, the output if nothing is."""
    maker, taken = maker_of(output)
    while type(maker).__name__ in _ROUNDING:  # the resized logits, rounded
        maker, taken = maker_of(taken[0])
    bilinear = getattr(maker, "interpolation", "bilinear") == "bilinear"
    return taken[0] if bilinear and type(maker).__name__ in _RESIZING else output


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
