"""Reading and rewriting Functional models, for passes over graphs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import keras

from keras_frm.backend.private_hooks import calls_of, maker_of


@dataclass(frozen=True)
class Call:
    """One operation of a graph with the tensors it takes and makes.

    Args:
        operation: A layer, or an operation of `keras.ops`.
        inputs: The KerasTensors among its arguments, in order.
        outputs: The KerasTensors it returns.
    """

    operation: keras.Operation
    inputs: tuple
    outputs: tuple


class Graph:
    """Who makes and who takes each tensor of a Functional model.

    Args:
        model: A Functional model.

    Example:
    >>> x = keras.Input((4,))
    >>> graph = Graph(keras.Model(x, keras.ops.relu(keras.layers.Dense(2)(x))))
    >>> [call.operation.name for call in graph.calls][0][:5]
    'dense'
    >>> len(graph.users(graph.calls[0])), graph.is_output(graph.calls[1])
    (1, True)
    """

    def __init__(self, model: keras.Model):
        self.calls = [
            Call(operation, tuple(tensors_in(taken)), tuple(made))
            for operation, taken, made in calls_of(model)
        ]
        self.inputs = model.inputs
        self._outputs = {id(tensor) for tensor in model.outputs}
        self._makers = {id(t): call for call in self.calls for t in call.outputs}
        self._users: dict[int, list[Call]] = {}
        for call in self.calls:
            for tensor in call.inputs:
                self._users.setdefault(id(tensor), []).append(call)
        operations = [id(call.operation) for call in self.calls]
        self._shared = {key for key in operations if operations.count(key) > 1}

    def maker(self, tensor) -> Call | None:
        """Return the call that makes a tensor, None for an input of the model."""
        return self._makers.get(id(tensor))

    def users(self, call: Call) -> list[Call]:
        """Return the calls that take a call's results, once for each use."""
        return [user for t in call.outputs for user in self._users.get(id(t), [])]

    def is_output(self, call: Call) -> bool:
        """Return whether the model returns a result of the call."""
        return any(id(tensor) in self._outputs for tensor in call.outputs)

    def only_user(self, call: Call) -> Call | None:
        """Return the one call that takes a result, None for several or an output."""
        users = self.users(call)
        return users[0] if len(users) == 1 and not self.is_output(call) else None

    def is_shared(self, call: Call) -> bool:
        """Return whether the model calls the same operation several times."""
        return id(call.operation) in self._shared


def rebuild(
    model: keras.Model, replacements: Mapping[keras.Operation, Callable]
) -> keras.Model:
    """Return a model with some operations replaced; the others are the same objects.

    Args:
        model: A Functional model.
        replacements: Operation -> what is called in its place, with its arguments
            (`training` and `mask` left out).

    Returns:
        A Functional model on new inputs; `model` itself where nothing is replaced.

    Example:
    >>> x = keras.Input((4,))
    >>> relu = keras.layers.ReLU()
    >>> model = rebuild(keras.Model(x, relu(x)), {relu: unchanged})
    >>> len(model.operations)
    1
    """
    if not replacements:
        return model
    by_id = {id(operation): new for operation, new in replacements.items()}

    def call(operation, *args, **kwargs):
        if id(operation) not in by_id:
            return operation(*args, **kwargs)
        for name in ("training", "mask"):  # Keras adds them on its own
            kwargs.pop(name, None)
        return by_id[id(operation)](*args, **kwargs)

    return keras.models.clone_model(model, clone_function=unchanged, call_function=call)


def named(tensor, name: str):
    """Name the operation that made a KerasTensor, and return the tensor.

    The functions of `keras.ops` take no name.
    """
    operation, _ = maker_of(tensor)
    operation.name = name
    return tensor


def unchanged(x):
    """Return the argument: for operations that stay, and those that fall away."""
    return x


def tensors_in(structure) -> list:
    """Return the KerasTensors in nested arguments, in order."""
    return [t for t in keras.tree.flatten(structure) if keras.utils.is_keras_tensor(t)]


def map_tensors(function: Callable, args, kwargs) -> tuple:
    """Apply a function of (position, tensor) to the KerasTensors among arguments.

    Returns:
        The arguments, positional and by name.

    Example:
    >>> x = keras.Input((4,))
    >>> map_tensors(lambda position, x: position, (x, 5, [x]), {})
    ((0, 5, [1]), {})
    """
    mapped = iter(
        function(position, tensor)
        for position, tensor in enumerate(tensors_in((args, kwargs)))
    )
    return keras.tree.map_structure(
        lambda x: next(mapped) if keras.utils.is_keras_tensor(x) else x, (args, kwargs)
    )


def in_turn(functions: Sequence[Callable]) -> Callable:
    """Return what calls one function after the other, as a shared layer is called."""
    remaining = iter(functions)
    return lambda *args, **kwargs: next(remaining)(*args, **kwargs)
