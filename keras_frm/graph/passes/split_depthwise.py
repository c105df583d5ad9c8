"""Large depthwise convolutions as sums of three that have fast kernels."""

import keras
import numpy as np
from keras import ops

from keras_frm.graph.convolutions import is_convolution, weights_of
from keras_frm.graph.graph import Graph, named, rebuild
from keras_frm.graph.layer_like import layer_like


def split_depthwise(model: keras.Model) -> keras.Model:
    """Split each 7x7 depthwise convolution into three of at most 25 taps.

    XNNPACK has fast depthwise kernels up to 25 taps. The 49 taps are the inner 5x5,
    the first and the last row (3x7 with the middle row zero), and what is left of the
    first and the last column (5x3 with the middle column zero): exact, whatever the
    dilation. A part that lies outside the map altogether is left out.

    Args:
        model: A Functional model of primitive layers.

    Returns:
        A model of the same function.

    Example:
    >>> x = keras.Input((32, 32, 4))
    >>> large = keras.layers.DepthwiseConv2D(7, padding="same", name="large")
    >>> new = split_depthwise(keras.Model(x, large(x)))
    >>> [layer.name for layer in new.layers if layer.weights]
    ['large.inner', 'large.rows', 'large.columns']
    """
    graph = Graph(model)
    replacements = {
        call.operation: _SplitCall(call.operation, call.inputs[0].shape[1:3])
        for call in graph.calls
        if _can_split(call.operation) and not graph.is_shared(call)
    }
    return rebuild(model, replacements)


class _SplitCall:
    """The three convolutions of one, summed when called."""

    def __init__(self, layer, size):
        kernel, bias = weights_of(layer)  # (7, 7, C, multiplier)
        rows, columns = (np.atleast_1d(layer.dilation_rate) * (1, 1)).tolist()
        inner = kernel[1:6, 1:6]
        top_bottom = kernel[[0, 3, 6]] * np.array([1, 0, 1])[:, None, None, None]
        left_right = kernel[1:6][:, [0, 3, 6]] * np.array([1, 0, 1])[:, None, None]
        no_bias = np.zeros_like(bias)
        self.parts = [_part(layer, "inner", inner, (rows, columns), bias)]
        # Taps this far out see nothing but padding on a small map.
        if _reaches(3 * rows, size[0]):
            dilation = (3 * rows, columns)
            self.parts.append(_part(layer, "rows", top_bottom, dilation, no_bias))
        if _reaches(3 * columns, size[1]):
            dilation = (rows, 3 * columns)
            self.parts.append(_part(layer, "columns", left_right, dilation, no_bias))

    def __call__(self, x):
        total = self.parts[0](x)
        for part in self.parts[1:]:
            total = named(ops.add(total, part(x)), f"{part.name}.sum")
        return total


def _reaches(distance, length):
    """Return whether a tap at a distance ever meets a pixel of an axis."""
    return length is None or distance < length


def _can_split(layer):
    """Return whether a layer is a 7x7 depthwise convolution with equal-size output."""
    return (
        isinstance(layer, keras.layers.DepthwiseConv2D)
        and is_convolution(layer)
        and layer.kernel_size == (7, 7)
        and set(layer.strides) == {1}
        and layer.padding == "same"
        and layer.data_format == "channels_last"
    )


def _part(layer, name, kernel, dilation_rate, bias):
    """Return a depthwise convolution with some of another's taps."""
    use_bias = bool(bias.any())
    return layer_like(
        layer,
        [kernel, bias] if use_bias else [kernel],
        name=f"{layer.name}.{name}",
        kernel_size=kernel.shape[:2],
        dilation_rate=dilation_rate,
        use_bias=use_bias,
    )
