"""Activations as operations of their own, so that other passes see them."""

import functools
import itertools

import keras
import numpy as np
from keras import ops

from keras_frm.backend.private_hooks import maker_of
from keras_frm.graph.convolutions import Convolution
from keras_frm.graph.graph import Graph, named, rebuild

_WITH_KERNEL = Convolution | keras.layers.SeparableConv2D | keras.layers.Conv2DTranspose
# Functions of Keras that take no KerasTensors, and the operations that do.
_OPERATIONS = {keras.activations.hard_silu: ops.hard_silu}


def separate_activations(model: keras.Model) -> keras.Model:
    """Take activations out of convolutions, and activation layers apart.

    `Conv2D(..., activation="gelu")` becomes a linear convolution and a GELU,
    `Activation`, plain `ReLU`, `LeakyReLU` and `ELU` layers become the operations they
    stand for.

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
        elif (activation := _activation_of(layer)) is not None:
            replacements[layer] = _named(activation, layer.name)
        elif _has_activation(layer):
            replacements[layer] = _separated(layer)
    return rebuild(model, replacements)


def is_fusable(operation) -> bool:
    """Return whether an activation is one that integer convolutions compute too."""
    kind = type(operation).__name__
    if kind == "ReLU":  # a layer, or what `keras.activations.relu` makes
        bounded = operation.max_value is None or np.isclose(operation.max_value, 6)
        return bounded and not operation.negative_slope and not operation.threshold
    return kind in ("Relu", "Relu6")


def _activation_of(layer):
    """Return the operation that an activation layer stands for, None without one."""
    if isinstance(layer, keras.layers.ReLU):
        if is_fusable(layer):
            return ops.relu if layer.max_value is None else ops.relu6
        if layer.max_value is not None or layer.threshold:
            return None
    if isinstance(layer, keras.layers.ReLU | keras.layers.LeakyReLU):
        return functools.partial(ops.leaky_relu, negative_slope=layer.negative_slope)
    if isinstance(layer, keras.layers.ELU):
        return functools.partial(ops.elu, alpha=layer.alpha)
    return None


def _has_activation(layer):
    """Return whether a layer with a kernel has an activation, too."""
    with_kernel = isinstance(layer, _WITH_KERNEL)
    return with_kernel and layer.activation is not keras.activations.linear


def _separated(layer):
    """Return a function that runs a convolution without its activation, then that."""
    config = {**layer.get_config(), "activation": "linear"}
    linear = type(layer).from_config(config)
    linear.build(layer.get_build_config()["input_shape"])
    linear.set_weights(layer.get_weights()[: len(linear.weights)])  # not a PReLU's
    function = _activation_of(layer.activation) or layer.activation
    activation = _named(function, f"{layer.name}.activation")
    return lambda x: activation(linear(x))


def _named(activation, name):
    """Return an activation that gives its operations a name, numbered from the second.

    A layer may be called several times; the names of a model's operations differ.
    """
    numbers = itertools.count(1)
    activation = _OPERATIONS.get(activation, activation)

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
