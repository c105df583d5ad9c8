"""Parameters and multiply-adds of a model, part by part."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_frm.backend import require_tensorflow
from keras_frm.backend.private_hooks import all_layers


class PartProfile(NamedTuple):
    """Cost of one part of a network.

    Args:
        name: Name of the part.
        parameters: Number of parameters, frozen ones too; moving averages of
            BatchNorms are none.
        multiply_adds: Multiply-adds of its convolutions.
        attention_multiply_adds: Multiply-adds of its attention products, which
            published figures leave out.
    """

    name: str
    parameters: int
    multiply_adds: int
    attention_multiply_adds: int


def profile(model: keras.Model, input_size: tuple[int, int]) -> list[PartProfile]:
    """Count parameters and multiply-adds of each part of a network.

    Counted are the multiply-adds of all convolutions for one image; additions of
    biases, normalisation, activations, pooling and resizing are not. The two products
    of the attention are counted apart.

    Args:
        model: A `SegmentationModel` or the network of one.
        input_size: Height and width of the image, in pixels.

    Returns:
        One row for each part that has parameters, in the order of the network, and
        last the row "total".

    Example:
    >>> from keras_frm import build_model
    >>> model = build_model("camvid", backbone="van_tiny", decoder_width=32)
    >>> [row.name for row in profile(model, (64, 64))]
    ['backbone', 'context', 'decoder', 'classifier', 'total']
    """
    require_tensorflow("Counting the costs of a network")
    network = getattr(model, "network", model)
    parts = [layer for layer in network.layers if layer.weights]
    image = tf.TensorSpec((1, *input_size, 3))
    with _recorded_shapes(parts) as shapes:
        # Tracing runs every layer's call; a symbolic call would only infer shapes.
        tf.function(network, autograph=False).get_concrete_function(image)
    rows = [_profile_part(part, shapes) for part in parts]
    totals = (sum(column) for column in list(zip(*rows, strict=True))[1:])
    return [*rows, PartProfile("total", *totals)]


def _profile_part(part, shapes):
    layers = [layer for layer in all_layers(part) if id(layer) in shapes]
    return PartProfile(
        part.name,
        sum(int(np.prod(weight.shape)) for weight in _parameters(part)),
        sum(_conv_multiply_adds(layer, shapes[id(layer)]) for layer in layers),
        sum(_attention_multiply_adds(layer, shapes[id(layer)]) for layer in layers),
    )


def _parameters(part):
    """Return the weights that training moves, or would if they were not frozen."""
    averages = {
        id(average)
        for layer in all_layers(part)
        if isinstance(layer, keras.layers.BatchNormalization)
        for average in (layer.moving_mean, layer.moving_variance)
    }
    return [weight for weight in part.weights if id(weight) not in averages]


@contextmanager
def _recorded_shapes(parts) -> Iterator[dict[int, tuple]]:
    """Record what each convolution and attention puts out while the block runs.

    Yields:
        id of a layer -> shape of its output.
    """
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    layers = [
        layer
        for part in parts
        for layer in all_layers(part)
        if isinstance(layer, kinds) or hasattr(layer, "attention_multiply_adds")
    ]
    shapes = {}

    def recording(layer, call):
        def call_and_record(*args, **kwargs):
            y = call(*args, **kwargs)
            shapes[id(layer)] = tuple(y.shape)
            return y

        return call_and_record

    calls = [layer.call for layer in layers]
    for layer, call in zip(layers, calls, strict=True):
        layer.call = recording(layer, call)
    try:
        yield shapes
    finally:
        for layer, call in zip(layers, calls, strict=True):
            layer.call = call


def _conv_multiply_adds(layer, shape):
    """Return the multiply-adds of a convolution that puts out `shape`."""
    if not hasattr(layer, "kernel"):
        return 0
    _, height, width, _ = shape
    # Conv2D (h, w, I, O) and depthwise (h, w, C, 1): each weight once a position.
    return height * width * int(np.prod(layer.kernel.shape))


def _attention_multiply_adds(layer, shape):
    """Return the multiply-adds of the products of an attention."""
    if not hasattr(layer, "attention_multiply_adds"):
        return 0
    return layer.attention_multiply_adds(shape)
