"""Fake quantisation of a graph: its tensors rounded as an int8 file rounds them."""

import functools
from collections.abc import Callable, Mapping

import keras

from keras_frm.graph.graph import Call, in_turn, map_tensors, rebuild
from keras_frm.quantization.layers.fake_quant import FakeQuant
from keras_frm.quantization.layers.float_boundary import FloatBoundary
from keras_frm.quantization.plan import Plan


def fake_quantize(
    model: keras.Model, plan: Plan, ranges: Mapping[str, tuple[float, float]]
) -> keras.Model:
    """Put a `FakeQuant` layer on every tensor of a plan that has a range.

    Args:
        model: The Functional model the plan's graph was read from.
        plan: Which tensors have ranges.
        ranges: Name of a range -> (minimum, maximum).

    Returns:
        A Functional model. Its `FakeQuant` layers are named after the operation that
        makes the tensor; of tensors that share a range, they have equal ones.

    Example:
    >>> from keras_frm.graph.graph import Graph
    >>> x = keras.Input((8, 8, 3), name="image")
    >>> model = keras.Model(x, keras.layers.Conv2D(4, 3, name="conv")(x))
    >>> ranges = {"image": (0.0, 255.0), "conv": (-90.0, 120.0)}
    >>> quantized = fake_quantize(model, Plan(Graph(model)), ranges)
    >>> [layer.name for layer in quantized.layers]
    ['image', 'image.range', 'conv', 'conv.range']
    """
    layers = {}

    def fake_quant(x, tensor):
        name = f"{plan.tensor_name(tensor)}.range"
        if name not in layers:
            layers[name] = FakeQuant(*ranges[plan.range_name(tensor)], name=name)
        return layers[name](x)

    return insert_fake_quant(model, plan, fake_quant)


def insert_fake_quant(
    model: keras.Model,
    plan: Plan,
    fake_quant: Callable,
    operation_for: Callable[[Call], Callable] | None = None,
) -> keras.Model:
    """Fake-quantise the tensors of a plan, and keep float what leaves the integers.

    Args:
        model: The Functional model the plan's graph was read from.
        plan: Which tensors have ranges.
        fake_quant: Called with a tensor of the new model and the one of the plan's
            graph that it stands for; returns the fake-quantised tensor.
        operation_for: Called with a call of the plan's graph; returns what is called in
            the place of its operation. None leaves them.

    Returns:
        A Functional model.
    """
    entered: dict[int, keras.KerasTensor] = {}
    boundary = functools.cache(lambda name: FloatBoundary(name=name))
    rewritten: dict[keras.Operation, list[Callable]] = {}
    for call in plan.graph.calls:
        operation = new = operation_for(call) if operation_for else call.operation
        if plan.is_integer(call):
            new = _IntegerCall(operation, call, plan, fake_quant, entered, boundary)
        elif any(plan.dequantizes_input(call, tensor) for tensor in call.inputs):
            new = _FloatCall(operation, call, plan, boundary)
        rewritten.setdefault(call.operation, []).append(new)
    changed = {
        operation: in_turn(functions)
        for operation, functions in rewritten.items()
        if any(function is not operation for function in functions)
    }
    return rebuild(model, changed)


class _IntegerCall:
    """An operation on integers: its float inputs and its result are fake-quantised."""

    def __init__(
        self, operation, call: Call, plan: Plan, fake_quant, entered, boundary
    ):
        self.operation = operation
        self.plan = plan
        self.fake_quant = fake_quant
        self.entered = entered  # of all operations: an input is quantised once
        self.boundary = boundary
        self.quantized_inputs = {
            position: tensor
            for position, tensor in enumerate(call.inputs)
            if plan.graph.maker(tensor) is None or plan.quantizes_input(call, tensor)
        }
        (self.result,) = call.outputs
        self.has_range = plan.range_name(self.result) is not None

    def __call__(self, *args, **kwargs):
        args, kwargs = map_tensors(self._enter, args, kwargs)
        result = self.operation(*args, **kwargs)
        return self.fake_quant(result, self.result) if self.has_range else result

    def _enter(self, position, x):
        """Quantise an input that comes as float."""
        if position not in self.quantized_inputs:
            return x
        if id(x) not in self.entered:
            tensor, own = self.quantized_inputs[position], x
            if self.plan.needs_float_boundary(tensor):
                own = self.boundary(f"{self.plan.tensor_name(tensor)}.float")(x)
            self.entered[id(x)] = self.fake_quant(own, tensor)
        return self.entered[id(x)]


class _FloatCall:
    """An operation in float that takes the result of an integer one."""

    def __init__(self, operation, call: Call, plan: Plan, boundary):
        self.operation = operation
        self.boundaries = {
            position: boundary(f"{call.operation.name}.float_{position}")
            for position, tensor in enumerate(call.inputs)
            if plan.dequantizes_input(call, tensor)
        }

    def __call__(self, *args, **kwargs):
        args, kwargs = map_tensors(self._leave, args, kwargs)
        return self.operation(*args, **kwargs)

    def _leave(self, position, x):
        return self.boundaries[position](x) if position in self.boundaries else x
