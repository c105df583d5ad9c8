"""Softmax whose results have a range of their own in an int8 file."""

import keras
from keras import ops

from keras_frm.graph.graph import Graph, named, rebuild


def integer_softmax(model: keras.Model) -> keras.Model:
    """Replace each softmax by exponentials and their sum.

    TFLite's int8 softmax counts in steps of 1/256. An attention over a thousand
    positions has weights of 1/1000, and would be zero everywhere. In operations, the
    weights have the range that is measured. There is no integer division, so the
    reciprocal of the sum is its reciprocal square root, twice.

    Args:
        model: A Functional model of primitive layers.

    Returns:
        A model of the same function.

    Example:
    >>> x = keras.Input((4,))
    >>> new = integer_softmax(keras.Model(x, ops.softmax(x)))
    >>> [type(operation).__name__ for operation in new.operations][1:]
    ['Max', 'Subtract', 'Exp', 'Sum', 'Rsqrt', 'Multiply', 'Multiply']
    """
    replacements = {}
    for call in Graph(model).calls:
        if type(call.operation).__name__ == "Softmax":
            replacements[call.operation] = _in_operations(call.operation)
    return rebuild(model, replacements)


def _in_operations(operation):
    name, axis = operation.name, operation.axis

    def softmax(x):
        largest = named(ops.max(x, axis=axis, keepdims=True), f"{name}.max")
        below = named(ops.subtract(x, largest), f"{name}.below")
        powers = named(ops.exp(below), f"{name}.exp")
        total = named(ops.sum(powers, axis=axis, keepdims=True), f"{name}.sum")
        root = named(ops.rsqrt(total), f"{name}.rsqrt")
        half = named(ops.multiply(powers, root), f"{name}.half")
        return named(ops.multiply(half, root), name)

    return softmax
