"""The normalisation's factor into the first convolution."""

import keras
import numpy as np

from keras_frm.graph.convolutions import is_convolution, weights_of, with_weights
from keras_frm.graph.graph import Call, Graph, rebuild


def fold_rescaling(model: keras.Model) -> keras.Model:
    """Leave only an addition of a normalisation that a convolution follows.

    x s + o is (x + o / s) s, and the factor s goes through zero padding into the
    convolution's weights. The offset cannot: padding is zero after it, not before.

    Args:
        model: A Functional model of primitive layers.

    Returns:
        A model of the same function.

    Example:
    >>> x = keras.Input((8, 8, 3))
    >>> y = keras.layers.Rescaling(2.0, -1.0, name="normalization")(x)
    >>> folded = fold_rescaling(keras.Model(x, keras.layers.Conv2D(4, 3)(y)))
    >>> folded.get_layer("normalization").scale
    1.0
    """
    graph = Graph(model)
    replacements = {}
    for call in graph.calls:
        convolution = _convolution_after(graph, call)
        if convolution is None:
            continue
        layer = convolution.operation
        kernel, bias = weights_of(layer)
        # One factor for each input channel: (C_in, 1) against (..., C_in, C_out).
        scale = np.broadcast_to(call.operation.scale, kernel.shape[-2:-1]).astype(float)
        offset = np.asarray(call.operation.offset, float) / scale
        replacements[layer] = with_weights(layer, kernel * scale[:, None], bias)
        replacements[call.operation] = keras.layers.Rescaling(
            1.0, offset.tolist(), name=call.operation.name
        )
    return rebuild(model, replacements)


def _convolution_after(graph: Graph, call: Call) -> Call | None:
    """Return the one convolution that a rescaling feeds, through padding or not."""
    if not isinstance(call.operation, keras.layers.Rescaling) or graph.is_shared(call):
        return None
    if not np.all(call.operation.scale):
        return None
    user = graph.only_user(call)
    while user is not None and isinstance(user.operation, keras.layers.ZeroPadding2D):
        user = graph.only_user(user)
    if user is None or graph.is_shared(user) or not is_convolution(user.operation):
        return None
    grouped = getattr(user.operation, "groups", 1) != 1
    return None if grouped else user
