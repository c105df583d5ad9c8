"""A graph whose tensors are rounded as an int8 file rounds them."""

import functools
from collections.abc import Callable, Mapping

import keras

from keras_frm.graph.graph import Call, rebuild, tensors_in
from keras_frm.quantization.layers.fake_quant import FakeQuant
from keras_frm.quantization.layers.float_boundary import FloatBoundary
from keras_frm.quantization.plan import Plan


def quantize_activations(
    model: keras.Model, plan: Plan, ranges: Mapping[str, tuple[float, float]]
) -> keras.Model:
    """Put a range on every tensor of a plan.

    Args:
        model: The Functional model the plan's graph was read from.
        plan: Which tensors have ranges.
        ranges: Name of a range -> (minimum, maximum).

    Returns:
        A Functional model with a `FakeQuant` layer on those tensors, named after the
        operation that makes the tensor. Tensors that share a range have layers with
        equal ones.
    """
    layers = {}

    def rounded(x, tensor):
        name = f"{plan.name_of(tensor)}.range"
        if name not in layers:
            layers[name] = FakeQuant(*ranges[plan.range_of(tensor)], name=name)
        return layers[name](x)

    return round_tensors(model, plan, rounded)


def round_tensors(
    model: keras.Model,
    plan: Plan,
    rounded: Callable,
    kernel_of: Callable[[Call], Callable] | None = None,
) -> keras.Model:
    """Round the tensors of a plan, and keep float what leaves the integers.

    Args:
        model: The Functional model the plan's graph was read from.
        plan: Which tensors have ranges.
        rounded: Called with a tensor of the new model and the one of the plan's graph
            that it stands for; returns the rounded tensor.
        kernel_of: Called with a call of the plan's graph; returns what is called in
            the place of its operation. None leaves them.

    Returns:
        A Functional model.
    """
    doors: dict[int, keras.KerasTensor] = {}
    boundary = functools.cache(lambda name: FloatBoundary(name=name))
    rewritten: dict[keras.Operation, list[Callable]] = {}
    for call in plan.graph.calls:
        kernel = new = kernel_of(call) if kernel_of else call.operation
        if plan.is_integer(call):
            new = _Quantized(kernel, call, plan, rounded, doors, boundary)
        elif any(plan.leaves_integers(call, tensor) for tensor in call.inputs):
            new = _Float(kernel, call, plan, boundary)
        rewritten.setdefault(call.operation, []).append(new)
    changed = {
        operation: _in_turn(functions)
        for operation, functions in rewritten.items()
        if any(function is not operation for function in functions)
    }
    return rebuild(model, changed)


def _in_turn(functions):
    """Return what calls one function after the other, as a shared layer is called."""
    remaining = iter(functions)
    return lambda *args, **kwargs: next(remaining)(*args, **kwargs)


class _Quantized:
    """An operation with ranges on what comes in as float and on what comes out."""

    def __init__(self, operation, call: Call, plan: Plan, rounded, doors, boundary):
        self.operation = operation
        self.plan = plan
        self.rounded = rounded
        self.doors = doors  # of all operations: a tensor is rounded once
        self.boundary = boundary
        self.entering = {
            position: tensor
            for position, tensor in enumerate(call.inputs)
            if plan.graph.maker(tensor) is None or plan.is_door(call, tensor)
        }
        (self.result,) = call.outputs
        self.has_range = plan.range_of(self.result) is not None

    def __call__(self, *args, **kwargs):
        args, kwargs = _sent_through(self._enter, args, kwargs)
        result = self.operation(*args, **kwargs)
        return self.rounded(result, self.result) if self.has_range else result

    def _enter(self, position, x):
        """Round an input that comes as float."""
        if position not in self.entering:
            return x
        if id(x) not in self.doors:
            tensor, own = self.entering[position], x
            if self.plan.is_contagious(tensor):
                own = self.boundary(f"{self.plan.name_of(tensor)}.float")(x)
            self.doors[id(x)] = self.rounded(own, tensor)
        return self.doors[id(x)]


class _Float:
    """An operation that stays float behind integer ones."""

    def __init__(self, operation, call: Call, plan: Plan, boundary):
        self.operation = operation
        self.before = {
            position: boundary(f"{call.operation.name}.float_{position}")
            for position, tensor in enumerate(call.inputs)
            if plan.leaves_integers(call, tensor)
        }

    def __call__(self, *args, **kwargs):
        args, kwargs = _sent_through(self._enter, args, kwargs)
        return self.operation(*args, **kwargs)

    def _enter(self, position, x):
        """Mark the end of the integers."""
        return self.before[position](x) if position in self.before else x


def _sent_through(function, args, kwargs):
    """Apply a function of (position, tensor) to the tensors among arguments."""
    sent = iter(
        function(position, tensor)
        for position, tensor in enumerate(tensors_in((args, kwargs)))
    )
    return keras.tree.map_structure(
        lambda x: next(sent) if keras.utils.is_keras_tensor(x) else x, (args, kwargs)
    )
