"""Layers made of other layers, which a graph can show as one node or as their parts."""

import contextlib
import contextvars
from collections.abc import Callable, Iterator

import keras

_on_parts: contextvars.ContextVar[Callable | None] = contextvars.ContextVar(
    "on_parts", default=None
)


class CompositeLayer(keras.layers.Layer):
    """Base of layers whose `call` only uses other layers and `keras.ops`.

    In a Functional model such a layer is one node. Inside `flattening` it runs its
    `call` in place of being called, so that its parts become the nodes.
    """

    def __call__(self, *args, **kwargs):
        on_parts = _on_parts.get()
        if on_parts is None:
            return super().__call__(*args, **kwargs)
        outputs = self.call(*args, **kwargs)
        on_parts(self, (args, kwargs), outputs)
        return outputs


@contextlib.contextmanager
def flattening(on_parts: Callable) -> Iterator[None]:
    """Within it, composite layers called on KerasTensors dissolve into their parts.

    Args:
        on_parts: Called with each such layer, its inputs (any nesting) and its
            outputs, inner layers first.

    Example:
    >>> from keras_frm.layers import ConvBlock
    >>> x = keras.Input((8, 8, 3))
    >>> with flattening(lambda layer, inputs, outputs: None):
    ...     y = ConvBlock(4)(x)
    >>> [type(op).__name__ for op in keras.Model(x, y).operations]
    ['InputLayer', 'Conv2D', 'BatchNormalization', 'Relu']
    """
    token = _on_parts.set(on_parts)
    try:
        yield
    finally:
        _on_parts.reset(token)
