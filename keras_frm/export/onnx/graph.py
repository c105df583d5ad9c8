"""A graph of primitive Keras operations as an ONNX model."""

import inspect

import keras
import numpy as np
import onnx
from onnx import TensorProto, helper

from keras_frm import __version__
from keras_frm.backend.private_hooks import calls_of

# They register how operations are written.
from keras_frm.export.onnx import attention as attention
from keras_frm.export.onnx import convolutions as convolutions
from keras_frm.export.onnx import further_operations as further_operations
from keras_frm.export.onnx import normalizations as normalizations
from keras_frm.export.onnx import quantized_operations as quantized_operations
from keras_frm.export.onnx import shape_operations as shape_operations
from keras_frm.export.onnx import spatial_operations as spatial_operations
from keras_frm.export.onnx.graph_writer import GraphWriter, Value
from keras_frm.export.onnx.operations import EMITTERS, OnnxCall

# Not above 19: the opset after that renamed what older parsers then take for another
# mode of GridSample (NVIDIA/TensorRT#4646).
# Before 19, QuantizeLinear takes no float16.
OPSETS = {"float32": 17, "float16": 19}
_IR_VERSIONS = {17: 8, 19: 9}
INPUT = "image"

_ELEMENT_TYPES = {
    "uint8": TensorProto.UINT8,
    "float16": TensorProto.FLOAT16,
    "float32": TensorProto.FLOAT,
}


def to_onnx(
    graph: keras.Model,
    *,
    input_dtype: str = "uint8",
    float_type: str = "float32",
    output: str = "output",
    batch: int | None = 1,
) -> onnx.ModelProto:
    """Write a graph as an ONNX model.

    Args:
        graph: A Functional model of primitive operations, static size and batch 1, such
            as `flatten` and passes make it.
        input_dtype: "uint8" or "float32", what the image comes as, (B, H, W, 3).
        float_type: "float32" or "float16", what it computes in. LayerNormalization
            takes its means in float32 in any case.
        output: Name of the output.
        batch: 1, or None for any number of images.

    Returns:
        A model of one input, "image", and one output.

    Raises:
        ValueError: There is no rule for an operation, or it mixes images; the message
            names it.

    Example:
    >>> image = keras.Input(batch_shape=(1, 8, 8, 3))
    >>> logits = keras.layers.Conv2D(2, 3, strides=2, padding="same")(image)
    >>> model = to_onnx(keras.Model(image, logits))
    >>> [node.op_type for node in model.graph.node]
    ['Cast', 'Transpose', 'Conv', 'Transpose']
    """
    writer = GraphWriter(OPSETS[float_type], float_type, open_batch=batch is None)
    (image,), (result,) = graph.inputs, graph.outputs
    shape = tuple(image.shape)
    name = INPUT
    if input_dtype != float_type:
        to = _ELEMENT_TYPES[float_type]
        name = writer.node("Cast", [name], f"{INPUT}_float", to=to)
    values = {id(image): Value(name, shape)}
    for operation, (args, kwargs), made in calls_of(graph):
        values[id(made[0])] = _emitted(writer, operation, args, kwargs, made, values)
    name = writer.last(values[id(result)])
    if result.dtype == "float32" != float_type:
        name = writer.node("Cast", [name], f"{name}.float32", to=TensorProto.FLOAT)
    writer.rename(name, output)
    nodes = writer.used_nodes(output)
    taken = {name for node in nodes for name in node.input}
    constants = [each for each in writer.constants.values() if each.name in taken]
    proto = helper.make_graph(
        nodes,
        graph.name,
        [_described(INPUT, input_dtype, shape, batch)],
        [_described(output, result.dtype, tuple(result.shape), batch)],
        constants,
    )
    return helper.make_model(
        proto,
        opset_imports=[helper.make_opsetid("", writer.opset)],
        ir_version=_IR_VERSIONS[writer.opset],
        producer_name="keras_frm",
        producer_version=__version__,
    )


def _described(name, dtype, shape, batch):
    """Return what the model says of its input or output."""
    shape = (batch or "batch", *shape[1:])
    return helper.make_tensor_value_info(name, _ELEMENT_TYPES[dtype], shape)


def _emitted(writer, operation, args, kwargs, made, values):
    kind = type(operation).__name__
    if kind not in EMITTERS:
        raise ValueError(
            f"{kind} '{operation.name}' has no rule in the export to ONNX. Use another "
            "layer in its place."
        )
    if writer.open_batch and made[0].shape[0] != 1:
        raise ValueError(
            f"{kind} '{operation.name}' mixes the images of a batch; export with "
            "batch=1."
        )
    bound = inspect.signature(operation.call).bind(*args, **kwargs)
    bound.apply_defaults()
    arguments = keras.tree.map_structure(lambda x: _value(x, values), bound.args)
    return EMITTERS[kind](writer, OnnxCall(operation, arguments, tuple(made[0].shape)))


def _value(argument, values):
    """Return the value of a KerasTensor; of other tensors an array."""
    if keras.utils.is_keras_tensor(argument):
        return values[id(argument)]
    return np.asarray(argument) if hasattr(argument, "shape") else argument
