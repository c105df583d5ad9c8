"""How normalisations are written as ONNX nodes."""

import math

import numpy as np

from keras_frm.export.onnx.graph_writer import GraphWriter, Value, stored_shape
from keras_frm.export.onnx.operations import OnnxCall, by_channel, emits, reduced


@emits("BatchNormalization")
def _batch_normalization(writer: GraphWriter, call: OnnxCall) -> Value:
    layer, channels = call.operation, call.shape[-1]
    ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    arrays = {
        "gamma": layer.gamma if layer.scale else ones,
        "beta": layer.beta if layer.center else zeros,
        "mean": layer.moving_mean,
        "variance": layer.moving_variance,
    }
    names = [
        writer.constant(np.asarray(array, np.float32), f"{call.name}.{key}")
        for key, array in arrays.items()
    ]
    inputs = [writer.first(call.x), *names]
    name = writer.node(
        "BatchNormalization", inputs, call.name, epsilon=float(layer.epsilon)
    )
    return Value(name, call.shape, first=True)


@emits("LayerNormalization")
def _layer_normalization(writer: GraphWriter, call: OnnxCall) -> Value:
    layer, channels = call.operation, call.shape[-1]
    _check_channels(call, layer.axis)
    # A scale that is left out is 0 for TensorRT 10.1.
    gamma = layer.gamma if layer.scale else np.ones(channels)
    beta = layer.beta if layer.center else np.zeros(channels)
    inputs = [writer.last(call.x)] + [
        writer.constant(np.asarray(array, np.float32), f"{call.name}.{key}")
        for key, array in (("gamma", gamma), ("beta", beta))
    ]
    name = writer.node(
        "LayerNormalization", inputs, call.name, axis=-1, epsilon=float(layer.epsilon)
    )
    return Value(name, call.shape)


@emits("RMSNormalization")
def _rms_normalization(writer: GraphWriter, call: OnnxCall) -> Value:
    layer, name = call.operation, call.name
    _check_channels(call, layer.axis)
    mean = _mean_of_squares(writer, call)
    epsilon = writer.constant(np.float32(layer.epsilon), f"{name}.epsilon")
    root = writer.node("Add", [mean, epsilon], f"{name}.above_zero")
    root = writer.node("Sqrt", [root], f"{name}.root")
    x = writer.node("Div", [call.x.name, root], f"{name}.unit")
    scale = by_channel(writer, call.x, layer.scale, f"{name}.scale")
    return Value(writer.node("Mul", [x, scale], name), call.shape, call.x.first)


@emits("UnitNormalization")
def _unit_normalization(writer: GraphWriter, call: OnnxCall) -> Value:
    name, channels = call.name, call.shape[-1]
    _check_channels(call, call.operation.axis)
    # Keras has 1e-12 below the sum.
    least = writer.constant(np.float32(1e-12 / channels), f"{name}.least")
    count = writer.constant(np.float32(math.sqrt(channels)), f"{name}.count")
    root = writer.node(
        "Max", [_mean_of_squares(writer, call), least], f"{name}.above_zero"
    )
    root = writer.node("Sqrt", [root], f"{name}.root")
    length = writer.node("Mul", [root, count], f"{name}.length")
    result = writer.node("Div", [call.x.name, length], name)
    return Value(result, call.shape, call.x.first)


@emits("GroupNormalization")
def _group_normalization(writer: GraphWriter, call: OnnxCall) -> Value:
    # A node of that name came with opset 18 only.
    layer, name, x = call.operation, call.name, call.x
    _check_channels(call, layer.axis)
    groups = layer.groups if layer.groups != -1 else call.shape[-1]
    shape = writer.constant(np.array([0, groups, -1], np.int64), f"{name}.groups")
    y = writer.node("Reshape", [writer.first(x), shape], f"{name}.grouped")
    unit = [
        writer.constant(fill(groups, np.float32), f"{name}.{fill.__name__}")
        for fill in (np.ones, np.zeros)
    ]
    y = writer.node(
        "InstanceNormalization",
        [y, *unit],
        f"{name}.normal",
        epsilon=float(layer.epsilon),
    )
    sizes = stored_shape(call.shape, first=True)
    sizes[0] = 0
    back = writer.constant(sizes, f"{name}.shape")
    value = Value(
        writer.node("Reshape", [y, back], f"{name}.back"), call.shape, first=True
    )
    for node, weight in (("Mul", layer.gamma), ("Add", layer.beta)):
        if weight is not None:
            other = by_channel(writer, value, weight, f"{name}.{node.lower()}")
            made = writer.node(node, [value.name, other], name)
            value = Value(made, call.shape, first=True)
    return value


def _mean_of_squares(writer, call) -> str:
    """Write the mean of the squares over the channels, which stay as one."""
    square = writer.node("Mul", [call.x.name] * 2, f"{call.name}.square")
    axis = call.x.stored_axis(-1)
    return reduced(writer, "ReduceMean", square, [axis], True, f"{call.name}.mean")


def _check_channels(call, axis) -> None:
    if list(np.ravel(axis)) not in ([-1], [call.x.rank - 1]):
        raise ValueError(
            f"{type(call.operation).__name__} '{call.name}' is over axes {axis}; the "
            "export to ONNX has a rule for the channels alone."
        )
