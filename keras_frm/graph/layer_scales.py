"""Layer scales that passes put into a graph, and the additions they stand before."""

from collections.abc import Callable

import numpy as np
from keras import ops

from keras_frm.graph.graph import named, tensors_in
from keras_frm.layers.blocks.layer_scale import LayerScale


def constant_scale(name: str, factors: np.ndarray, learned: bool = True) -> LayerScale:
    """Return a layer scale with given factors.

    Args:
        name: Name of the layer.
        factors: (C,) factors.
        learned: Whether a training may change them.
    """
    layer = LayerScale(learned=learned, name=name)
    layer.build((None, len(factors)))
    layer.set_weights([factors.astype(np.float32)])
    return layer


def scale_operand(name: str, scale: LayerScale, position: int) -> Callable:
    """Return an addition that scales one of its two tensors first.

    Args:
        name: Name of the addition.
        scale: The layer that scales.
        position: 0 for the first tensor, 1 for the second.
    """

    def add(*args):
        terms = tensors_in(args)
        terms[position] = scale(terms[position])
        return named(ops.add(*terms), name)

    return add


def is_addition(operation) -> bool:
    """Return whether an operation adds tensors, a layer or one of `keras.ops`."""
    return type(operation).__name__ == "Add"
