"""ReLUs that the range behind them makes superfluous."""

import keras

from keras_frm.graph.graph import Call, Graph, rebuild, unchanged
from keras_frm.graph.passes.separate_activations import is_fusable

# The converter moves a ReLU past these. There it is an operation of its own, which
# XNNPACK has for floats only.
_MOVING = {"DepthToSpace", "Flatten", "Permute", "Reshape", "Transpose"}


def drop_clipped_relu(model: keras.Model) -> keras.Model:
    """Drop a ReLU before a range from zero and a move: the range clips as it does.

    Args:
        model: A Functional model with `FakeQuant` layers.

    Returns:
        A model of the same function.

    Example:
    >>> from keras_frm.quantization.layers import FakeQuant
    >>> y = x = keras.Input((2, 2, 3))
    >>> for layer in (keras.layers.ReLU(), FakeQuant(0, 9), keras.layers.Flatten()):
    ...     y = layer(y)
    >>> new = drop_clipped_relu(keras.Model(x, y))
    >>> [type(layer).__name__ for layer in new.layers]
    ['InputLayer', 'FakeQuant', 'Flatten']
    """
    graph = Graph(model)
    relus = [
        call.operation
        for call in graph.calls
        if _is_unbounded_relu(call.operation)
        and not graph.is_shared(call)
        and not _takes_a_range(graph, call)
        and _goes_through_a_range_to_a_move(graph, call)
    ]
    return rebuild(model, dict.fromkeys(relus, unchanged))


def _is_unbounded_relu(operation):
    kind = type(operation).__name__
    bounded = kind == "Relu6" or getattr(operation, "max_value", None) is not None
    return is_fusable(operation) and not bounded


def _takes_a_range(graph: Graph, call: Call) -> bool:
    """Return whether a ReLU takes integers: without it they would be requantised."""
    before = graph.maker(call.inputs[0])
    return before is not None and type(before.operation).__name__ == "FakeQuant"


def _goes_through_a_range_to_a_move(graph: Graph, call: Call) -> bool:
    clip = graph.only_user(call)
    if clip is None or type(clip.operation).__name__ != "FakeQuant":
        return False
    low, _ = clip.operation.ends()
    kinds = {type(user.operation).__name__ for user in graph.users(clip)}
    return low >= 0 and not kinds.isdisjoint(_MOVING)
