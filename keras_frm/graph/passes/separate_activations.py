"""Activations as operations of their own, so that other passes see them."""

import itertools

import keras
import numpy as np

from keras_frm.backend.private_hooks import maker_of
from keras_frm.graph.convolutions import Convolution, is_convolution
from keras_frm.graph.graph import Graph, named, rebuild


def separate_activations(model: keras.Model) -> keras.Model:
    """Take activations out of convolutions, and activation layers apart.

    `Conv2D(..., activation="gelu")` becomes a linear convolution and a GELU,
    `Activation` and plain `ReLU` layers become the operations they stand for.

    Args:
        model: A Functional model of primitive layers.

    Returns:
        A model of the same function whose convolutions are linear.

    Example:
    >>> x = keras.Input((8, 8, 3))
    >>> model = keras.Model(x, keras.layers.Conv2D(4, 3, activation="gelu")(x))
    >>> new = separate_activations(model)
    >>> [type(operation).__name__ for operation in new.operations]
    ['InputLayer', 'Conv2D', 'Gelu']
    """
    replacements = {}
    for call in Graph(model).calls:
        layer = call.operation
        if isinstance(layer, keras.layers.Activation):
            replacements[layer] = _named(layer.activation, layer.name)
        elif isinstance(layer, keras.layers.ReLU) and is_fusable_relu(layer):
            relu = keras.ops.relu if layer.max_value is None else keras.ops.relu6
            replacements[layer] = _named(relu, layer.name)
        elif isinstance(layer, Convolution) and not is_convolution(layer):
            replacements[layer] = _separated(layer)
    return rebuild(model, replacements)


def is_fusable_relu(relu) -> bool:
    """Return whether a ReLU layer or operation is one that convolutions can fuse."""
    bounded = relu.max_value is None or np.isclose(relu.max_value, 6)
    return bounded and not relu.negative_slope and not relu.threshold


def _separated(layer):
    """Return a function that runs a convolution without its activation, then that."""
    config = {**layer.get_config(), "activation": "linear"}
    linear = type(layer).from_config(config)
    linear.build(layer.get_build_config()["input_shape"])
    linear.set_weights(layer.get_weights())
    activation = _named(layer.activation, f"{layer.name}.activation")
    return lambda x: activation(linear(x))


def _named(activation, name):
    """Return an activation that gives its operations a name, numbered from the second.

    A layer may be called several times; the names of a model's operations differ.
    """
    numbers = itertools.count(1)

    def activate(x):
        number = next(numbers)
        own = name if number == 1 else f"{name}_{number}"
        try:
            y = activation(x)
        except (TypeError, ValueError):  # a function that takes no KerasTensors
            return keras.layers.Activation(activation, name=own)(x)
        return named(y, own) if _is_one_operation(x, y) else y

    return activate


def _is_one_operation(x, y):
    """Return whether one operation makes a tensor of another."""
    _, taken = maker_of(y)
    return y is not x and taken[0] is x
