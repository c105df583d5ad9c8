"""How operations are written that none of the package's own networks has."""

import numpy as np

from keras_frm.export.onnx.graph_writer import GraphWriter, Value
from keras_frm.export.onnx.operations import OnnxCall, emits, reduced_over_axes

# === Activations ===

# Kind in Keras -> node, its attribute and where Keras keeps it.
_WITH_SLOPE = {
    "Elu": ("Elu", "alpha", "alpha"),
    "LeakyRelu": ("LeakyRelu", "alpha", "negative_slope"),
}


@emits(*_WITH_SLOPE)
def _activation_with_slope(writer: GraphWriter, call: OnnxCall) -> Value:
    node, attribute, kept = _WITH_SLOPE[type(call.operation).__name__]
    options = {attribute: float(getattr(call.operation, kept))}
    name = writer.node(node, [call.x.name], call.name, **options)
    return Value(name, call.shape, call.x.first)


@emits("Celu")
def _celu(writer: GraphWriter, call: OnnxCall) -> Value:
    # The node of that name takes float32 alone: alpha elu(x / alpha) is the same.
    alpha = writer.constant(np.float32(call.operation.alpha), f"{call.name}.alpha")
    y = writer.node("Div", [call.x.name, alpha], f"{call.name}.divided")
    y = writer.node("Elu", [y], f"{call.name}.elu")
    name = writer.node("Mul", [y, alpha], call.name)
    return Value(name, call.shape, call.x.first)


@emits("ReLU")
def _bounded_relu(writer: GraphWriter, call: OnnxCall) -> Value:
    layer = call.operation
    if layer.threshold or layer.negative_slope:
        raise ValueError(
            f"ReLU '{call.name}' has a threshold or a slope beside its bound; the "
            "export to ONNX has no rule for that."
        )
    bounds = [
        writer.constant(np.float32(bound), f"{call.name}.{text}")
        for text, bound in (("least", 0.0), ("most", layer.max_value))
    ]
    name = writer.node("Clip", [call.x.name, *bounds], call.name)
    return Value(name, call.shape, call.x.first)


@emits("Rsqrt")
def _rsqrt(writer: GraphWriter, call: OnnxCall) -> Value:
    root = writer.node("Sqrt", [call.x.name], f"{call.name}.root")
    name = writer.node("Reciprocal", [root], call.name)
    return Value(name, call.shape, call.x.first)


# === Over axes ===


_REDUCTIONS = {"GlobalMaxPooling2D": "ReduceMax", "Max": "ReduceMax"}
_REDUCTIONS |= {"Sum": "ReduceSum"}


@emits(*_REDUCTIONS)
def _reduction(writer: GraphWriter, call: OnnxCall) -> Value:
    kind = _REDUCTIONS[type(call.operation).__name__]
    return reduced_over_axes(writer, kind, call)


# === Parts ===


@emits("Flatten")
def _flatten(writer: GraphWriter, call: OnnxCall) -> Value:
    shape = writer.constant(np.array([0, -1], np.int64), f"{call.name}.shape")
    name = writer.node("Reshape", [writer.last(call.x), shape], call.name)
    return Value(name, call.shape)


@emits("Cropping2D")
def _cropping(writer: GraphWriter, call: OnnxCall) -> Value:
    bounds = {
        axis: (before, call.x.shape[axis] - after, 1)
        for axis, (before, after) in zip((1, 2), call.operation.cropping, strict=True)
    }
    return Value(cut(writer, call.x, bounds, call.name), call.shape, call.x.first)


@emits("CenterCrop")
def _center_crop(writer: GraphWriter, call: OnnxCall) -> Value:
    bounds = {}
    for axis in (1, 2):
        start = (call.x.shape[axis] - call.shape[axis]) // 2
        bounds[axis] = (start, start + call.shape[axis], 1)
    return Value(cut(writer, call.x, bounds, call.name), call.shape, call.x.first)


@emits("GetItem")
def _get_item(writer: GraphWriter, call: OnnxCall) -> Value:
    x, key = call.args
    # A list in a model that was made of its configuration.
    key = tuple(key) if isinstance(key, (tuple, list)) else (key,)
    bounds, dropped = _bounds(call, key)
    if not dropped:
        name = cut(writer, x, bounds, call.name)
        return Value(name, call.shape, x.first)
    flat = Value(writer.last(x), x.shape)
    name = cut(writer, flat, bounds, f"{call.name}.cut")
    sizes = np.array(call.shape, np.int64)
    if writer.open_batch:
        sizes[0] = 0
    shape = writer.constant(sizes, f"{call.name}.shape")
    return Value(writer.node("Reshape", [name, shape], call.name), call.shape)


def _bounds(call, key):
    """Return start, end and step by axis, and the axes that an integer drops."""
    rank = call.x.rank
    if Ellipsis in key:
        place = key.index(Ellipsis)
        missing = rank - (len(key) - 1)
        key = (*key[:place], *[slice(None)] * missing, *key[place + 1 :])
    bounds, dropped = {}, []
    for axis, (part, size) in enumerate(zip(key, call.x.shape, strict=False)):
        if isinstance(part, slice):
            start, end, step = part.indices(size)
            if step < 1:
                raise ValueError(
                    f"GetItem '{call.name}' goes backwards, for which the export to "
                    "ONNX has no rule."
                )
            if (start, end, step) != (0, size, 1):
                bounds[axis] = (start, end, step)
        elif isinstance(part, (int, np.integer)):
            start = int(part) % size
            bounds[axis] = (start, start + 1, 1)
            dropped.append(axis)
        else:
            raise ValueError(
                f"GetItem '{call.name}' takes {part!r}, for which the export to ONNX "
                "has no rule."
            )
    return bounds, dropped


def cut(writer: GraphWriter, x: Value, bounds: dict, name: str) -> str:
    """Write a part of a value.

    Args:
        writer: What collects the nodes.
        x: The value.
        bounds: Axis in Keras -> (start, end, step).
        name: Name of the part.
    """
    if not bounds:
        return x.name
    axes = [x.stored_axis(axis) for axis in bounds]
    columns = [*zip(*bounds.values(), strict=True)]
    limits = [
        writer.constant(np.array(numbers, np.int64), f"{name}.{text}")
        for text, numbers in zip(
            ("starts", "ends", "axes", "steps"),
            (*columns[:2], axes, columns[2]),
            strict=True,
        )
    ]
    return writer.node("Slice", [x.name, *limits], name)
