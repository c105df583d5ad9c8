"""Which tensors of a graph can have their channels multiplied, at no change at all."""

from collections.abc import Collection

import keras

from keras_frm.graph.convolutions import is_convolution
from keras_frm.graph.graph import Call, Graph

# Scale-equivariant: positive factors of the channels go through these unchanged.
_EQUIVARIANT = {
    "Add",
    "AveragePool",
    "AveragePooling2D",
    "Dropout",
    "GlobalAveragePooling2D",
    "MaxPool",
    "MaxPooling2D",
    "Relu",
    "Resize",
    "Subtract",
    "UpSampling2D",
    "ZeroPadding2D",
}
# Absorb any factors of their input: on their own, or by a scale before them.
_ABSORBING_INPUTS = {"LayerNormalization", "LayerScale"}
_OF_SEVERAL = {"Add", "Multiply", "Subtract"}


class ChannelGroups:
    """Tensors of a graph that must be multiplied by the same factors, if by any.

    Convolutions absorb factors, at both of their ends. Additions, resizing, pooling and
    ReLU pass them on; one side of a product does, where the other side has none. A
    LayerNormalization absorbs none, but is in float, where a layer scale before it can
    multiply back. Everything else absorbs none: inputs and results are as they were.

    Args:
        graph: The graph of a model of primitive layers with linear convolutions.
        unchanged: Names of operations that must take the numbers they take now.

    Example:
    >>> x = keras.Input((8, 8, 3))
    >>> y = keras.layers.Conv2D(4, 3)(x)
    >>> z = keras.layers.Conv2D(2, 3)(keras.ops.relu(y))
    >>> groups = ChannelGroups(Graph(keras.Model(x, z)))
    >>> [[tensor.shape[-1] for tensor in members] for members in groups.free()]
    [[4, 4]]
    """

    def __init__(self, graph: Graph, unchanged: Collection[str] = ()):
        self.graph = graph
        self.unchanged = unchanged
        self._tensors: dict[int, keras.KerasTensor] = {}
        self._parent: dict[int, int] = {}
        self._kept: set[int] = set()  # of roots
        for tensor in graph.inputs:
            self._keep(tensor)
        products = [call for call in graph.calls if not self._add(call)]
        for call in products:
            self._multiply(call)

    def free(self) -> list[list]:
        """Return the groups of tensors whose channels may be multiplied."""
        groups: dict[int, list] = {}
        for tensor in self._tensors.values():
            if self.is_free(tensor):
                groups.setdefault(self._root(tensor), []).append(tensor)
        return list(groups.values())

    def is_free(self, tensor) -> bool:
        """Return whether a tensor's channels may be multiplied."""
        return self._root(tensor) not in self._kept

    def _add(self, call: Call) -> bool:
        """Apply one call's rule; return False for a product, whose rule waits."""
        tensors = (*call.inputs, *call.outputs)
        kind = type(call.operation).__name__
        for tensor in tensors:
            self._tensors.setdefault(id(tensor), tensor)
        if self.graph.is_output(call):
            self._keep(*call.outputs)
        if call.operation.name in self.unchanged:
            self._keep(*call.inputs)
        if self.graph.is_shared(call):
            self._keep(*tensors)
        elif absorbs_factors(call.operation):
            pass
        elif not _same_channels(tensors):
            self._keep(*tensors)
        elif kind in _OF_SEVERAL and len(call.inputs) < 2:
            self._keep(*tensors)  # with a constant
        elif kind == "Multiply" and len(call.inputs) == 2:
            return False
        elif kind in _EQUIVARIANT:
            self._tie(*tensors)
        elif kind in _ABSORBING_INPUTS:
            self._keep(*call.outputs)
        else:
            self._keep(*tensors)
        return True

    def _multiply(self, call: Call):
        """Let the result of a product follow one of its sides."""
        first, second = call.inputs
        if self.is_free(first) and self.is_free(second):
            self._keep(first)
        follows = second if self.is_free(second) else first
        self._tie(follows, *call.outputs)

    def _root(self, tensor) -> int:
        """Return the key of a tensor's group."""
        key = id(tensor)
        while self._parent.get(key, key) != key:
            key = self._parent[key]
        return key

    def _keep(self, *tensors):
        """Leave tensors, and all of their groups, as they are."""
        self._kept.update(self._root(tensor) for tensor in tensors)

    def _tie(self, *tensors):
        """Make one group of several."""
        roots = {self._root(tensor) for tensor in tensors}
        first = min(roots)
        self._parent.update((root, first) for root in roots)
        if roots & self._kept:
            self._kept.add(first)


def absorbs_factors(operation) -> bool:
    """Return whether an operation multiplies its channels by numbers of its own."""
    if not is_convolution(operation):
        return False
    if isinstance(operation, keras.layers.DepthwiseConv2D):
        return operation.depth_multiplier == 1
    return getattr(operation, "groups", 1) == 1


def _same_channels(tensors):
    """Return whether tensors are maps (B, ..., C) of one number of channels."""
    ranks = all(len(tensor.shape) >= 2 for tensor in tensors)
    return ranks and len({tensor.shape[-1] for tensor in tensors}) == 1
