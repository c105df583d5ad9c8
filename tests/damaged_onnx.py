"""Damages of .onnx files, by what they are made of; see damaged_bytes.py."""

import damaged_bytes
import numpy as np
import onnx
from onnx import helper, numpy_helper

from keras_frm.export.onnx.export import with_metadata
from keras_frm.runtime.onnx.check import check_onnx

_OPERATIONS = (
    *("Add", "Cast", "Concat", "Conv", "DequantizeLinear", "Expand", "Gather"),
    *("GridSample", "Identity", "If", "Loop", "MatMul", "NonZero", "Pad", "Range"),
    *("Reshape", "Resize", "Scan", "Slice", "Split", "Tile", "Transpose", "Unknown"),
)
_SIDES = (0, -1, 1, 2, 3, 7, 64, 2**10, 2**15, 2**20, 2**31 - 1, 2**40)
_SCALES = (0, -1, 1e-38, 1e-6, 1, 300, 1e30, np.inf, np.nan)


def _on_the_model(change):
    """Return a damage of bytes from one that changes a parsed model."""

    def damage(content, random, whole):
        model = onnx.ModelProto.FromString(content)
        change(model, random)
        return model.SerializeToString()

    damage.__name__ = change.__name__
    return damage


@_on_the_model
def swap_operator(model, random):
    node = _any(model.graph.node, random)
    node.op_type = str(random.choice(_OPERATIONS))


@_on_the_model
def absurd_shape(model, random):
    """Let an input, an output or a constant have another shape."""
    values = [*model.graph.input, *model.graph.output]
    if random.random() < 0.5 and model.graph.initializer:
        tensor = _any(model.graph.initializer, random)
        tensor.dims.append(1)
        tensor.dims[random.integers(len(tensor.dims))] = int(random.choice(_SIDES))
    else:
        side = _any(_any(values, random).type.tensor_type.shape.dim, random)
        side.dim_value = int(random.choice(_SIDES))


@_on_the_model
def rewire(model, random):
    """Let a node take or make another tensor, so that graphs become circles."""
    nodes = [node for node in model.graph.node if node.input]
    names = [name for node in nodes for name in (*node.input, *node.output)]
    node = _any(nodes, random)
    ends = node.input if random.random() < 0.7 else node.output
    ends[random.integers(len(ends))] = str(random.choice([*names, "", "nowhere"]))


@_on_the_model
def change_type(model, random):
    number = int(random.integers(24))
    tensors = [each.type.tensor_type for each in model.graph.input]
    tensors += [each.type.tensor_type for each in model.graph.output]
    if random.random() < 0.5 and model.graph.initializer:
        _any(model.graph.initializer, random).data_type = number
    else:
        _any(tensors, random).elem_type = number


@_on_the_model
def change_attribute(model, random):
    """Strides, axes, groups, kinds of interpolation, and types of casts."""
    nodes = [node for node in model.graph.node if node.attribute]
    if not nodes:
        model.graph.node[0].attribute.append(helper.make_attribute("axis", 99))
        return
    attribute = _any(_any(nodes, random).attribute, random)
    attribute.i = int(random.choice((-1, 0, 1, 2, 5, 99, 2**40)))
    attribute.s = b"\xff" * int(random.integers(9))
    if attribute.ints:
        attribute.ints[random.integers(len(attribute.ints))] = attribute.i
    if random.random() < 0.2:
        attribute.type = int(random.integers(15))


@_on_the_model
def change_constant(model, random):
    """Scales, sizes, axes and paddings: what is small."""
    small = [each for each in model.graph.initializer if np.prod(each.dims) < 99]
    if not small:
        model.graph.node[0].op_type = "Unknown"
        return
    tensor = _any(small, random)
    values = numpy_helper.to_array(tensor).reshape(-1).copy()
    if not values.size:
        return
    floats = values.dtype.kind == "f"
    with np.errstate(over="ignore"):
        number = np.array(random.choice(_SCALES if floats else _SIDES))
        values[random.integers(values.size)] = number.astype(values.dtype)
    changed = numpy_helper.from_array(values.reshape(tuple(tensor.dims)), tensor.name)
    tensor.CopyFrom(changed)


@_on_the_model
def nest(model, random):
    """Branches within branches, and loops without an end."""
    graph = onnx.GraphProto(name="inner")
    graph.CopyFrom(model.graph)
    for _ in range(random.integers(1, 20)):
        node = helper.make_node("If", ["yes"], [""], then_branch=graph)
        graph = helper.make_graph([node], "outer", [], [])
    name = str(random.choice(("If", "Loop", "Scan")))
    attribute = {"If": "then_branch"}.get(name, "body")
    node = helper.make_node(name, ["", ""], ["endless"], **{attribute: graph})
    model.graph.node.append(node)


@_on_the_model
def external_weights(model, random):
    if not model.graph.initializer:
        return
    tensor = _any(model.graph.initializer, random)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    path = str(random.choice(("/etc/passwd", "../../x", "", "/dev/zero")))
    tensor.external_data.add(key="location", value=path)


@_on_the_model
def huge_metadata(model, random):
    values = ("[" * 10**6, '{"sha256":' * 10**5, "9" * 10**6, "0" * 10**8)
    value = values[random.integers(len(values))]
    model.metadata_props.add(key="keras_frm.json", value=value)
    for number in range(int(random.choice((0, 30_000)))):
        model.metadata_props.add(key=str(number))


DAMAGES = (
    *damaged_bytes.DAMAGES,
    swap_operator,
    absurd_shape,
    rewire,
    change_type,
    change_attribute,
    change_constant,
    nest,
    external_weights,
    huge_metadata,
)


def signed(damage, content, random, whole):
    """Damage a model and sign its metadata anew, as an attacker would."""
    about = check_onnx(content)
    if about is None or random.random() < 0.2:
        return damage(content, random, whole)
    model = onnx.ModelProto.FromString(content)
    model.ClearField("metadata_props")
    damaged = damage(model.SerializeToString(), random, whole)
    try:
        return with_metadata(onnx.ModelProto.FromString(damaged), about)
    except Exception:  # protobuf's own: nothing that could be signed
        return damaged


def _any(entries, random):
    return entries[random.integers(len(entries))]
