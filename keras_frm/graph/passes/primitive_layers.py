"""Layers of plain Keras as the operations that the other passes know."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from keras_frm.graph.graph import Call, Graph, named, rebuild, tensors_in
from keras_frm.graph.layer_scales import constant_scale


def primitive_layers(model: keras.Model) -> keras.Model:
    """Replace layers that are combinations of others, or another name of one.

    A `SeparableConv2D` becomes a depthwise and a pointwise convolution, `Normalization`
    a `Rescaling`, `UpSampling2D` and `Resizing` one resizing, `Average` an addition
    and a factor, a division by a constant a product.

    Args:
        model: A Functional model of static size, its activations apart.

    Returns:
        A model of the same function.

    Example:
    >>> x = keras.Input((8, 8, 3))
    >>> y = keras.layers.SeparableConv2D(4, 3)(keras.layers.UpSampling2D()(x))
    >>> new = primitive_layers(keras.Model(x, y))
    >>> [type(operation).__name__ for operation in new.operations]
    ['InputLayer', 'Resize', 'DepthwiseConv2D', 'Conv2D']
    """
    replacements = {}
    graph = Graph(model)
    for call in graph.calls:
        make = _REPLACEMENTS.get(type(call.operation).__name__)
        replacement = make(call) if make and not graph.is_shared(call) else None
        if replacement is not None:
            replacements[call.operation] = replacement
    return rebuild(model, replacements)


def is_plain_resize(operation) -> bool:
    """Return whether a layer or an operation resizes as an operation of a file does.

    Another way of resizing overshoots, or has none.

    Args:
        operation: `Resizing`, `UpSampling2D`, or one of `keras.ops.image.resize`.
    """
    options = ("antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio")
    plain = operation.interpolation in ("bilinear", "nearest")
    return plain and not any(getattr(operation, name, False) for name in options)


def _separable(call: Call) -> Callable | None:
    layer = call.operation
    if layer.activation is not keras.activations.linear:
        return None
    depthwise = keras.layers.DepthwiseConv2D(
        layer.kernel_size,
        strides=layer.strides,
        padding=layer.padding,
        depth_multiplier=layer.depth_multiplier,
        dilation_rate=layer.dilation_rate,
        use_bias=False,
        name=f"{layer.name}.depthwise",
    )
    pointwise = keras.layers.Conv2D(
        layer.filters, 1, use_bias=layer.use_bias, name=f"{layer.name}.pointwise"
    )
    kernel, *weights = layer.get_weights()
    depthwise.build(call.inputs[0].shape)
    depthwise.set_weights([kernel])
    pointwise.build((1, None, None, weights[0].shape[-2]))
    pointwise.set_weights(weights)
    return lambda x: pointwise(depthwise(x))


def _normalization(call: Call) -> Callable | None:
    layer, channels = call.operation, call.inputs[0].shape[-1]
    mean, variance = (np.asarray(x, float) for x in (layer.mean, layer.variance))
    if mean.size not in (1, channels) or mean.shape[-1] not in (1, channels):
        return None  # over other axes than the channels
    deviation = np.maximum(np.sqrt(variance), keras.config.epsilon())
    scale, offset = 1 / deviation, -mean / deviation
    if layer.invert:
        scale, offset = deviation, mean
    return keras.layers.Rescaling(
        np.ravel(scale).tolist(), np.ravel(offset).tolist(), name=layer.name
    )


def _resizing(call: Call) -> Callable | None:
    layer, size = call.operation, call.outputs[0].shape[1:3]
    if not is_plain_resize(layer):
        return None
    if size == call.inputs[0].shape[1:3]:
        return lambda x: x
    return lambda x: named(ops.image.resize(x, size, layer.interpolation), layer.name)


def _average(call: Call) -> Callable:
    name, count = call.operation.name, len(call.inputs)
    factors = np.full(call.outputs[0].shape[-1], 1 / count)
    scale = constant_scale(name, factors, learned=False)

    def average(*args):
        total, *others = tensors_in(args)
        for number, term in enumerate(others, 1):
            total = named(ops.add(total, term), f"{name}.sum_{number}")
        return scale(total)

    return average


def _division(call: Call) -> Callable | None:
    name = call.operation.name

    def divide(x, divisor):
        if keras.utils.is_keras_tensor(x) and not keras.utils.is_keras_tensor(divisor):
            factor = 1 / np.asarray(ops.convert_to_numpy(divisor), float)
            return named(ops.multiply(x, factor.astype(np.float32)), name)
        return named(ops.divide(x, divisor), name)

    return divide


_REPLACEMENTS: dict[str, Callable] = {
    "Average": _average,
    "Divide": _division,
    "Normalization": _normalization,
    "Resizing": _resizing,
    "SeparableConv2D": _separable,
    "TrueDivide": _division,
    "UpSampling2D": _resizing,
}
