"""A convolution over upsampled features, done at the small size instead."""

import keras
import numpy as np
from keras import ops

from keras_frm.graph.convolutions import is_convolution, weights_of
from keras_frm.graph.graph import Call, Graph, named, rebuild, unchanged


def commute_resize(model: keras.Model) -> keras.Model:
    """Apply the taps of a convolution before its inputs are upsampled.

    A convolution over a concatenation with upsampled members is the sum of one
    convolution for each member. A 1x1 convolution commutes with bilinear resizing, so
    each of the k x k taps of an upsampled member is a 1x1 convolution at the small
    size. Its results are widened, shifted and summed over the k columns; then
    heightened, summed over the members, shifted and summed over the k rows. So k maps
    of a member are resized to the full size instead of k^2, and the concatenation
    never exists.

    Args:
        model: A Functional model of primitive layers with static shapes.

    Returns:
        A model of the same function.

    Example:
    >>> x, small = keras.Input((8, 8, 2)), keras.Input((4, 4, 5))
    >>> large = ops.image.resize(small, (8, 8))
    >>> y = keras.layers.Conv2D(3, 3, padding="same")(ops.concatenate([x, large], -1))
    >>> kinds = [type(o).__name__ for o in keras.Model([x, small], y).operations]
    >>> new = commute_resize(keras.Model([x, small], y))
    >>> "Concatenate" in kinds, any(_is_concatenation(o) for o in new.operations)
    (True, False)
    """
    graph = Graph(model)
    replacements = {}
    for call in graph.calls:
        if not _is_concatenation(call.operation) or graph.is_shared(call):
            continue
        user = graph.only_user(call)
        if user is None or graph.is_shared(user) or not _can_split(user.operation):
            continue
        resizes = [_upsampling(graph, tensor, call) for tensor in call.inputs]
        if not any(resizes):
            continue
        split = _SplitConvolution(user.operation, call.inputs, resizes)
        replacements[call.operation] = split
        replacements[user.operation] = unchanged
        replacements.update({r.operation: unchanged for r in resizes if r})
    return rebuild(model, replacements)


class _SplitConvolution:
    """A convolution of a concatenation, as a sum over the members, when called."""

    def __init__(self, layer, members, resizes):
        self.name = layer.name
        self.middle = layer.kernel_size[0] // 2
        self.size = members[0].shape[1:3]
        self.small = [resize is not None for resize in resizes]
        kernel, bias = weights_of(layer)  # (k, k, C_in, C_out)
        ends = np.cumsum([tensor.shape[-1] for tensor in members])[:-1]
        parts = np.split(kernel, ends, axis=2)
        plain = [
            part for part, small in zip(parts, self.small, strict=True) if not small
        ]
        self.direct = None
        if plain:
            merged = np.concatenate(plain, axis=2)
            self.direct = _convolution(f"{self.name}.direct", merged, bias)
        self.taps = {}  # (member, row, column) -> 1x1 convolution
        for member, (part, small) in enumerate(zip(parts, self.small, strict=True)):
            for row, column in np.ndindex(kernel.shape[:2]) if small else ():
                tap = part[row : row + 1, column : column + 1]
                name = f"{self.name}.tap_{member}_{row}_{column}"
                self.taps[member, row, column] = _convolution(name, tap)
        if not plain:  # the middle tap is shifted nowhere, so its bias is everyone's
            first = next(key for key in self.taps if key[1:] == (self.middle,) * 2)
            tap = np.asarray(self.taps[first].kernel)
            self.taps[first] = _convolution(self.taps[first].name, tap, bias)

    def __call__(self, members, axis=-1):
        terms = []
        plain = [x for x, small in zip(members, self.small, strict=True) if not small]
        if len(plain) > 1:
            plain = [named(ops.concatenate(plain, -1), f"{self.name}.concatenate")]
        if plain:
            terms.append(self.direct(plain[0]))
        for row in range(2 * self.middle + 1):
            name = f"{self.name}.row_{row}"
            tall = [
                self._row(member, row, x)
                for member, x in enumerate(members)
                if self.small[member]
            ]
            total = _sum(tall, f"{name}.members")  # (1, H, W, C_out)
            terms.append(_shift(total, row - self.middle, 1, name))
        return _sum(terms, self.name)

    def _row(self, member, row, x):
        """Return one row of a member's taps at the full size."""
        height, width = self.size
        name = f"{self.name}.taps_{member}_{row}"
        columns = []
        for column in range(2 * self.middle + 1):
            convolution = self.taps[member, row, column]
            wide = ops.image.resize(convolution(x), (x.shape[1], width))
            wide = named(wide, f"{convolution.name}.widen")  # (1, h, W, C_out)
            columns.append(_shift(wide, column - self.middle, 2, convolution.name))
        total = _sum(columns, f"{name}.columns")
        return named(ops.image.resize(total, (height, width)), f"{name}.heighten")


def _sum(terms, name):
    """Add tensors up one by one: XNNPACK adds two at a time."""
    total = terms[0]
    for index, term in enumerate(terms[1:]):
        total = named(ops.add(total, term), f"{name}.sum_{index + 1}")
    return total


def _shift(x, step, axis, name):
    """Move features by `step` towards the start of an axis, with zeros after them."""
    if step == 0:
        return x
    length = x.shape[axis]
    keep = [slice(None)] * 4
    keep[axis] = slice(step, None) if step > 0 else slice(0, length + step)
    zeros = [[0, 0] for _ in range(4)]
    zeros[axis] = [0, step] if step > 0 else [-step, 0]
    cut = named(x[tuple(keep)], f"{name}.cut")
    return named(ops.pad(cut, zeros), f"{name}.pad")


def _convolution(name, kernel, bias=None):
    """Return a convolution with "same" padding and given weights."""
    layer = keras.layers.Conv2D(
        kernel.shape[-1],
        kernel.shape[:2],
        padding="same",
        use_bias=bias is not None,
        name=name,
    )
    layer.build((1, None, None, kernel.shape[2]))
    weights = [kernel] if bias is None else [kernel, bias]
    layer.set_weights([w.astype(np.float32) for w in weights])
    return layer


def _is_concatenation(operation):
    if type(operation).__name__ != "Concatenate":
        return False
    return operation.axis in (-1, 3)


def _can_split(layer):
    """Return whether a layer is a dense k x k convolution that keeps the size."""
    return (
        isinstance(layer, keras.layers.Conv2D)
        and is_convolution(layer)
        and layer.data_format == "channels_last"
        and layer.kernel_size[0] == layer.kernel_size[1]
        and layer.kernel_size[0] % 2 == 1
        and set(layer.strides) == set(layer.dilation_rate) == {1}
        and layer.padding == "same"
        and layer.groups == 1
    )


def _upsampling(graph: Graph, tensor, concatenation: Call) -> Call | None:
    """Return the bilinear upsampling that makes a member, None if it is none."""
    call = graph.maker(tensor)
    if call is None or type(call.operation).__name__ != "Resize":
        return None
    resize = call.operation
    if resize.interpolation != "bilinear" or resize.antialias:
        return None
    if resize.crop_to_aspect_ratio or resize.pad_to_aspect_ratio:
        return None
    grows = all(
        new >= old
        for new, old in zip(tensor.shape[1:3], call.inputs[0].shape[1:3], strict=True)
    )
    alone = graph.only_user(call) is concatenation and not graph.is_shared(call)
    return call if grows and alone else None
