"""A graph whose tensors are rounded as an int8 file rounds them."""

from collections.abc import Mapping

import keras

from keras_frm.deploy.graph import Call, rebuild, tensors_in
from keras_frm.deploy.quantization.fake_quant import FakeQuant
from keras_frm.deploy.quantization.float_boundary import FloatBoundary
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
    replacements = {}
    for call in plan.graph.calls:
        if plan.is_integer(call):
            replacements[call.operation] = _Quantized(call, plan, ranges)
        elif any(plan.leaves_integers(call, tensor) for tensor in call.inputs):
            replacements[call.operation] = _Float(call, plan)
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
        args, kwargs = _through(self.before, args, kwargs)
        result = self.operation(*args, **kwargs)
        return result if self.after is None else self.after(result)


class _Float:
    """An operation that stays float behind integer ones."""

    def __init__(self, call: Call, plan: Plan):
        self.operation = call.operation
        self.before = {
            position: FloatBoundary(name=f"{call.operation.name}.float_{position}")
            for position, tensor in enumerate(call.inputs)
            if plan.leaves_integers(call, tensor)
        }

    def __call__(self, *args, **kwargs):
        args, kwargs = _through(self.before, args, kwargs)
        return self.operation(*args, **kwargs)


def _through(layers, args, kwargs):
    """Send the tensors at some positions of an operation's arguments through layers."""
    sent = iter(
        layers[position](tensor) if position in layers else tensor
        for position, tensor in enumerate(tensors_in((args, kwargs)))
    )
    return keras.tree.map_structure(
        lambda x: next(sent) if keras.utils.is_keras_tensor(x) else x, (args, kwargs)
    )
