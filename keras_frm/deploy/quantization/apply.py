"""A graph whose tensors are rounded as an int8 file rounds them."""

from collections.abc import Mapping

import keras

from keras_frm.deploy.graph import Call, rebuild, tensors_in
from keras_frm.deploy.quantization.fake_quant import FakeQuant
from keras_frm.deploy.quantization.plan import Plan


def quantize_activations(
    model: keras.Model, plan: Plan, ranges: Mapping[str, tuple[float, float]]
) -> keras.Model:
    """Put a range on every tensor of a plan.

    Args:
        model: The Functional model the plan's graph was read from.
        plan: Which tensors have ranges.
        ranges: Name of a range -> (minimum, maximum).

    Returns:
        A Functional model with a `FakeQuant` layer on those tensors. Tensors that
        share a range have layers with equal ones.
    """
    replacements = {
        call.operation: _Quantized(call, plan, ranges)
        for call in plan.graph.calls
        if plan.is_integer(call)
    }
    return rebuild(model, replacements)


class _Quantized:
    """An operation with ranges on what comes in as float and on what comes out."""

    def __init__(self, call: Call, plan: Plan, ranges):
        self.operation = call.operation
        name = call.operation.name
        doors = [
            position
            for position, tensor in enumerate(call.inputs)
            if plan.graph.maker(tensor) is None or plan.is_door(call, tensor)
        ]
        self.before = {}
        for position, tensor in enumerate(call.inputs):
            if position in doors:
                low_high = ranges[plan.range_of(tensor)]
                layer = FakeQuant(*low_high, name=f"{name}.input_{position}.range")
                self.before[position] = layer
        result = plan.range_of(call.outputs[0])
        self.after = None
        if result is not None:
            self.after = FakeQuant(*ranges[result], name=f"{name}.range")

    def __call__(self, *args, **kwargs):
        quantized = iter(
            self.before[position](tensor) if position in self.before else tensor
            for position, tensor in enumerate(tensors_in((args, kwargs)))
        )
        args, kwargs = keras.tree.map_structure(
            lambda x: next(quantized) if keras.utils.is_keras_tensor(x) else x,
            (args, kwargs),
        )
        result = self.operation(*args, **kwargs)
        return result if self.after is None else self.after(result)
