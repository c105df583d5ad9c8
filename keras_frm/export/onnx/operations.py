"""How each kind of operation is written as ONNX nodes, in float."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from keras_frm.export.onnx.graph_writer import GraphWriter, Value, channels_first


class OnnxCall(NamedTuple):
    """A call of a Keras operation whose tensors are values of an ONNX graph.

    Args:
        operation: The layer, or the operation of `keras.ops`.
        args: Its arguments in their order, defaults too: values, arrays and whatever
            else.
        shape: Shape of its result.
    """

    operation: Any
    args: tuple
    shape: tuple[int, ...]

    @property
    def name(self) -> str:
        """Name of the operation, and of the node that ends it."""
        return self.operation.name

    @property
    def x(self) -> Value:
        """The first argument."""
        return self.args[0]


Emit = Callable[[GraphWriter, OnnxCall], Value]

EMITTERS: dict[str, Emit] = {}


def emits(*kinds: str) -> Callable[[Emit], Emit]:
    """Register a function as that of some kinds of operations.

    Args:
        *kinds: Names of classes of layers and of operations of `keras.ops`.
    """

    def register(function: Emit) -> Emit:
        EMITTERS.update(dict.fromkeys(kinds, function))
        return function

    return register


# === Element by element ===

_ELEMENTWISE = {"Add": "Add", "Subtract": "Sub", "Multiply": "Mul", "Divide": "Div"}
_ELEMENTWISE |= {"TrueDivide": "Div", "Maximum": "Max", "Minimum": "Min"}


@emits(*_ELEMENTWISE)
def _elementwise(writer: GraphWriter, call: OnnxCall) -> Value:
    kind = _ELEMENTWISE[type(call.operation).__name__]
    operands = call.args[0] if isinstance(call.args[0], (list, tuple)) else call.args
    values = [each for each in operands if isinstance(each, Value)]
    one_rank = len({value.rank for value in values}) == 1
    first = one_rank and any(value.first for value in values)
    names = [_operand(writer, each, call, first) for each in operands]
    result = names[0]
    for index, other in enumerate(names[1:], 2):
        # The last of them has the name of the operation.
        name = call.name if index == len(names) else f"{call.name}.{index}"
        result = writer.node(kind, [result, other], name)
    return Value(result, call.shape, first)


def _operand(writer, each, call, first):
    if isinstance(each, Value):
        return writer.first(each) if first else writer.last(each)
    array = np.asarray(each, np.float32)
    if first and array.ndim:
        rank = len(call.shape)
        array = array.reshape((1,) * (rank - array.ndim) + array.shape)
        array = array.transpose(channels_first(rank))
    return writer.constant(array, f"{call.name}.constant")


def by_channel(writer: GraphWriter, value: Value, array, name: str) -> str:
    """Return the name of one number for each channel, as it lies beside a value."""
    array = np.asarray(array, np.float32).reshape(-1)
    if value.first:
        array = array.reshape((-1,) + (1,) * (value.rank - 2))
    return writer.constant(array, name)


def reduced(
    writer: GraphWriter,
    kind: str,
    source: str,
    axes: list[int],
    keeps: bool,
    name: str,
) -> str:
    """Write a reduction, whose axes became an input with a later opset.

    Args:
        writer: What collects the nodes.
        kind: Such as "ReduceMean".
        source: Name of what is reduced.
        axes: Its axes in the file.
        keeps: Whether they stay, of size 1.
        name: Name of the result.
    """
    inputs, attributes = [source], {"keepdims": int(keeps)}
    if writer.opset < (13 if kind == "ReduceSum" else 18):
        attributes["axes"] = axes
    else:
        inputs.append(writer.constant(np.array(axes, np.int64), f"{name}.axes"))
    return writer.node(kind, inputs, name, **attributes)


def axes_of(call: OnnxCall) -> list[int]:
    """Return the axes that a call reduces, of global pooling height and width."""
    axis, rank = getattr(call.operation, "axis", (1, 2)), call.x.rank
    axes = range(rank) if axis is None else np.ravel(axis)
    return sorted(int(each) % rank for each in axes)


def reduced_over_axes(writer: GraphWriter, kind: str, call: OnnxCall) -> Value:
    """Write a call that reduces its argument over axes, such as "ReduceMean"."""
    x, axes, keeps = call.x, axes_of(call), bool(call.operation.keepdims)
    first = x.first and keeps
    source = x.name if first else writer.last(x)
    if first:
        axes = [x.stored_axis(axis) for axis in axes]
    return Value(
        reduced(writer, kind, source, axes, keeps, call.name), call.shape, first
    )


@emits("Rescaling")
def _rescaling(writer: GraphWriter, call: OnnxCall) -> Value:
    layer, x, name = call.operation, call.x, call.x.name
    for kind, numbers, neutral in (
        ("Mul", layer.scale, 1.0),
        ("Add", layer.offset, 0.0),
    ):
        if not np.all(np.asarray(numbers) == neutral):
            other = by_channel(writer, x, numbers, f"{call.name}.{kind.lower()}")
            name = writer.node(kind, [name, other], call.name)
    return Value(name, call.shape, x.first)


@emits("LayerScale")
def _layer_scale(writer: GraphWriter, call: OnnxCall) -> Value:
    gamma = by_channel(writer, call.x, call.operation.gamma, f"{call.name}.gamma")
    name = writer.node("Mul", [call.x.name, gamma], call.name)
    return Value(name, call.shape, call.x.first)


# === Activations ===

# Of the same name in ONNX.
_ACTIVATIONS = ("Exp", "Relu", "Selu", "Sigmoid", "Softplus", "Softsign", "Tanh")


@emits(*_ACTIVATIONS)
def _activation(writer: GraphWriter, call: OnnxCall) -> Value:
    kind = type(call.operation).__name__
    name = writer.node(kind, [call.x.name], call.name)
    return Value(name, call.shape, call.x.first)


@emits("Relu6")
def _relu6(writer: GraphWriter, call: OnnxCall) -> Value:
    bounds = [
        writer.constant(np.float32(bound), f"relu6.{bound:g}") for bound in (0.0, 6.0)
    ]
    name = writer.node("Clip", [call.x.name, *bounds], call.name)
    return Value(name, call.shape, call.x.first)


@emits("Gelu")
def _gelu(writer: GraphWriter, call: OnnxCall) -> Value:
    if call.operation.approximate:
        raise ValueError(
            f"Gelu '{call.name}' is the approximate one, for which the export to ONNX "
            "has no rule."
        )
    x, name = call.x.name, call.name
    # In this form, with a division, ONNX Runtime fuses it into one operation.
    root, one, half = (
        writer.constant(np.float32(number), f"gelu.{text}")
        for text, number in (("root", np.sqrt(2)), ("one", 1), ("half", 0.5))
    )
    y = writer.node("Div", [x, root], f"{name}.divided")
    y = writer.node("Erf", [y], f"{name}.erf")
    y = writer.node("Add", [y, one], f"{name}.shifted")
    y = writer.node("Mul", [x, y], f"{name}.product")
    return Value(writer.node("Mul", [y, half], name), call.shape, call.x.first)


@emits("Softmax")
def _softmax(writer: GraphWriter, call: OnnxCall) -> Value:
    axis = call.x.stored_axis(call.operation.axis)
    name = writer.node("Softmax", [call.x.name], call.name, axis=axis)
    return Value(name, call.shape, call.x.first)
