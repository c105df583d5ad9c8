"""Transposed convolutions as convolutions of subpixels, which integers have."""

import keras
import numpy as np

from keras_frm.graph.convolutions import weights_of
from keras_frm.graph.graph import Call, Graph, rebuild, unchanged
from keras_frm.graph.passes.separate_activations import is_fusable
from keras_frm.layers import DepthToSpace


def subpixel_convolution(model: keras.Model) -> keras.Model:
    """Replace each `Conv2DTranspose` by a convolution and a move of channels.

    With stride s, each of the s x s pixels that come from one position is a sum over
    its own taps of the kernel: a channel of its own in an ordinary convolution at the
    small size. Where s does not divide the kernel's size, some of its taps are zero,
    and a training may change them. Pixels that "same" padding leaves out are cut off.

    Args:
        model: A Functional model of static size, its activations apart.

    Returns:
        A model of the same function.

    Source: Shi et al., Is the deconvolution layer the same as a convolutional layer?,
    2016.

    Example:
    >>> x = keras.Input((8, 8, 3))
    >>> y = keras.layers.Conv2DTranspose(4, 2, strides=2)(x)
    >>> new = subpixel_convolution(keras.Model(x, y))
    >>> [layer.name.partition(".")[2] for layer in new.layers[1:]]
    ['subpixels', 'to_space']
    """
    graph = Graph(model)
    replacements = {}
    for call in graph.calls:
        layer = call.operation
        if not _can_replace(layer) or graph.is_shared(call):
            continue
        follows = graph.only_user(call)
        activation = unchanged
        # At the small size the activation is one with the convolution.
        if follows is not None and _moves(graph, follows):
            activation = follows.operation
            replacements[activation] = unchanged
        replacements[layer] = _Subpixels(call, activation)
    return rebuild(model, replacements)


def _can_replace(layer):
    return (
        isinstance(layer, keras.layers.Conv2DTranspose)
        and layer.activation is keras.activations.linear
        and layer.data_format == "channels_last"
        and len(set(layer.strides)) == 1
        and set(layer.dilation_rate) == {1}
    )


def _moves(graph, call):
    """Return whether a call may be made before the pixels are in their places."""
    return is_fusable(call.operation) and not graph.is_shared(call)


class _Subpixels:
    """The convolution, the move and the cut of one transposed convolution."""

    def __init__(self, call: Call, activation):
        layer = call.operation
        stride = layer.strides[0]
        axes = [
            _Axis(known, wanted, size, stride, layer.padding)
            for known, wanted, size in zip(
                call.inputs[0].shape[1:3],
                call.outputs[0].shape[1:3],
                layer.kernel_size,
                strict=True,
            )
        ]
        name = layer.name
        margins = [(axis.before, axis.after) for axis in axes]
        crops = [(axis.crop_before, axis.crop_after) for axis in axes]
        self.steps = [_convolution(layer, [axis.taps for axis in axes]), activation]
        if np.any(margins):
            self.steps.insert(
                0, keras.layers.ZeroPadding2D(margins, name=f"{name}.pad")
            )
        if stride > 1:
            self.steps.append(DepthToSpace(stride, name=f"{name}.to_space"))
        if np.any(crops):
            self.steps.append(keras.layers.Cropping2D(crops, name=f"{name}.crop"))

    def __call__(self, x):
        for step in self.steps:
            x = step(x)
        return x


class _Axis:
    """How one axis of a transposed convolution is padded and cut.

    Pixel s q + r of the uncut result is the sum of x[q - j] kernel[s j + r] over j.
    """

    def __init__(self, known, wanted, size, stride, padding):
        self.taps = -(-size // stride)
        full = (known - 1) * stride + size
        start = (full - wanted) // 2 if padding == "same" and full > wanted else 0
        first, last = start // stride, -(-(start + wanted) // stride)  # of q
        self.before = self.taps - 1 - first
        self.after = last - known
        self.crop_before = start - first * stride
        self.crop_after = last * stride - start - wanted


def _convolution(layer, taps):
    """Return the convolution whose channels are (row, column, filter) of a block."""
    kernel, bias = weights_of(layer)  # (kh, kw, C_out, C_in)
    stride = layer.strides[0]
    *size, filters, channels = kernel.shape
    room = [
        (0, count * stride - known) for count, known in zip(taps, size, strict=True)
    ]
    kernel = np.pad(kernel, [*room, (0, 0), (0, 0)])
    kernel = kernel.reshape(taps[0], stride, taps[1], stride, filters, channels)
    kernel = kernel[::-1, :, ::-1].transpose(0, 2, 5, 1, 3, 4)
    kernel = kernel.reshape(*taps, channels, stride * stride * filters)
    new = keras.layers.Conv2D(
        kernel.shape[-1],
        taps,
        use_bias=layer.use_bias,
        name=f"{layer.name}.subpixels",
    )
    new.build((1, None, None, channels))
    new.set_weights([kernel, np.tile(bias, stride * stride)][: 1 + layer.use_bias])
    return new
