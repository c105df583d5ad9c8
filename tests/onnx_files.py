"""Small .onnx files, made node by node."""

import onnx
from onnx import TensorProto, helper

OPSET = 17


def model(nodes, image, result, constants=(), opset=OPSET):
    """Return a model of an input and an output: (name, element type, shape)."""
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(*image)],
        [helper.make_tensor_value_info(*result)],
        list(constants),
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8
    )


def colour_scores(size=("h", "w"), batch=1, *, channels_first=True, uint8=False):
    """Return a model whose scores are the colours, at half the size if channels lead.

    Red, green and blue are three classes.
    """
    shape = (batch, 3, *size) if channels_first else (batch, *size, 3)
    kind = TensorProto.UINT8 if uint8 else TensorProto.FLOAT
    image = ("image", kind, shape)
    cast = helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT)
    if not channels_first:
        last = helper.make_node("Identity", ["float"], ["scores"])
        return model([cast, last], image, ("scores", TensorProto.FLOAT, shape))
    sides = tuple(f"{side}/2" if isinstance(side, str) else side // 2 for side in size)
    pool = helper.make_node(
        "AveragePool", ["float"], ["scores"], kernel_shape=[2, 2], strides=[2, 2]
    )
    return model([cast, pool], image, ("scores", TensorProto.FLOAT, (batch, 3, *sides)))


def write(path, proto: onnx.ModelProto):
    """Write a model and return its path."""
    path.write_bytes(proto.SerializeToString())
    return path
