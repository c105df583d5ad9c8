"""How operations that move numbers, and products of matrices, are written."""

import numpy as np
from onnx import TensorProto

from keras_frm.export.onnx.graph_writer import GraphWriter, Value, stored_shape
from keras_frm.export.onnx.operations import OnnxCall, emits


@emits("Concatenate")
def _concatenate(writer: GraphWriter, call: OnnxCall) -> Value:
    values = call.args[0]
    first = any(value.first for value in values)
    names = [writer.first(v) if first else writer.last(v) for v in values]
    result = Value("", call.shape, first)
    axis = result.stored_axis(call.operation.axis)
    return Value(writer.node("Concat", names, call.name, axis=axis), call.shape, first)


@emits("Reshape")
def _reshape(writer: GraphWriter, call: OnnxCall) -> Value:
    x = call.x
    # Height and width become one axis, or two again: the channels stay where they are.
    stays = x.shape[0] == call.shape[0] and x.shape[-1] == call.shape[-1]
    first = x.first and stays and len(call.shape) > 2
    sizes = stored_shape(call.shape, first)
    if writer.open_batch:
        sizes[0] = 0  # as many as come in
    shape = writer.constant(sizes, f"{call.name}.shape")
    source = x.name if first else writer.last(x)
    return Value(writer.node("Reshape", [source, shape], call.name), call.shape, first)


@emits("Transpose", "Permute")
def _transpose(writer: GraphWriter, call: OnnxCall) -> Value:
    x, operation = call.x, call.operation
    if type(operation).__name__ == "Permute":
        axes = (0, *operation.dims)
    else:
        axes = operation.axes or range(x.rank)[::-1]
    if x.rank == 3 and tuple(axes) == (0, 2, 1):
        # What is stored is the other layout of the result.
        return Value(x.name, call.shape, not x.first)
    name = writer.node("Transpose", [writer.last(x)], call.name, perm=list(axes))
    return Value(name, call.shape)


@emits("Matmul")
def _matmul(writer: GraphWriter, call: OnnxCall) -> Value:
    names = [
        writer.last(each)
        if isinstance(each, Value)
        else writer.constant(np.asarray(each, np.float32), f"{call.name}.matrix")
        for each in call.args[:2]
    ]
    return Value(writer.node("MatMul", names, call.name), call.shape)


@emits("Einsum")
def _einsum(writer: GraphWriter, call: OnnxCall) -> Value:
    """Adaptive pooling and resizing: a matrix on the rows or on the columns."""
    matrix, x = (call.args[0], call.args[1])
    subscripts = call.operation.subscripts
    array = np.asarray(matrix, np.float32)
    if subscripts == "gh,bhwc->bgwc":
        names = [writer.constant(array, f"{call.name}.rows"), writer.first(x)]
    elif subscripts == "gw,bhwc->bhgc":
        names = [writer.first(x), writer.constant(array.T, f"{call.name}.columns")]
    else:
        raise ValueError(
            f"Einsum '{call.name}' ({subscripts}) has no rule in the export to ONNX."
        )
    return Value(writer.node("MatMul", names, call.name), call.shape, first=True)


@emits("Dense")
def _dense(writer: GraphWriter, call: OnnxCall) -> Value:
    layer, name = call.operation, call.name
    kernel = writer.constant(np.asarray(layer.kernel, np.float32), f"{name}.kernel")
    y = writer.last(call.x)
    if not layer.use_bias:
        return Value(writer.node("MatMul", [y, kernel], name), call.shape)
    y = writer.node("MatMul", [y, kernel], f"{name}.product")
    bias = writer.constant(np.asarray(layer.bias, np.float32), f"{name}.bias")
    return Value(writer.node("Add", [y, bias], name), call.shape)


@emits("Identity", "Dropout", "SpatialDropout2D", "GaussianNoise", "GaussianDropout")
@emits("AlphaDropout", "ActivityRegularization")
def _unchanged(writer: GraphWriter, call: OnnxCall) -> Value:
    return call.x


@emits("ClassIds")
def _class_ids(writer: GraphWriter, call: OnnxCall) -> Value:
    x = writer.first(call.x)
    y = writer.node("ArgMax", [x], f"{call.name}.arg_max", axis=1, keepdims=0)
    name = writer.node("Cast", [y], call.name, to=TensorProto.UINT8)
    return Value(name, call.shape)
