"""What an exported .onnx file must not be: TensorRT would refuse it or misread it."""

from collections import Counter

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from keras_frm.export.report import ExportError
from keras_frm.runtime.backends.onnx_runtime import load_session, session_options

# What TensorRT 10 has, of what the export writes.
_ALLOWED = """
Add ArgMax AveragePool BatchNormalization Cast Clip Concat Conv ConvTranspose
DepthToSpace DequantizeLinear Div Elu Erf Exp GlobalAveragePool GridSample
InstanceNormalization LayerNormalization LeakyRelu MatMul Max MaxPool Min Mul Pad
QuantizeLinear Reciprocal ReduceMax ReduceMean ReduceSum Relu Reshape Resize Selu
Sigmoid Slice Softmax Softplus Softsign Sqrt Sub Tanh Transpose
"""
ALLOWED_OPERATIONS = frozenset(_ALLOWED.split())
# The opset after it renamed a mode of GridSample, which older parsers then misread.
_NEWEST_OPSET = 19


def operations(model: onnx.ModelProto) -> Counter:
    """Count the nodes of a model by kind."""
    return Counter(node.op_type for node in model.graph.node)


def check_model(model: onnx.ModelProto) -> None:
    """Refuse a model that is not valid, or that a parser of TensorRT would refuse.

    Args:
        model: What was written.

    Raises:
        ExportError: The message names the node and says what is wrong.
    """
    opset = max(each.version for each in model.opset_import)
    if opset > _NEWEST_OPSET:
        raise ExportError(f"The file is of opset {opset}, above {_NEWEST_OPSET}.")
    try:
        onnx.checker.check_model(model, full_check=True)
    except (
        onnx.checker.ValidationError,
        onnx.shape_inference.InferenceError,
    ) as error:
        raise ExportError(
            f"The file is no valid ONNX model: {' '.join(str(error).split())}"
        ) from error
    images = {
        each.name
        for each in model.graph.input
        if each.type.tensor_type.elem_type == TensorProto.UINT8
    }
    constants = {each.name: each for each in model.graph.initializer}
    for node in model.graph.node:
        _check_node(node, images, constants)


def check_batch(content: bytes, image: np.ndarray) -> None:
    """Refuse a file of an open batch that mixes images.

    Args:
        content: The file.
        image: (H, W, 3) uint8.

    Raises:
        ExportError: An image has another result beside another one.
    """
    session = load_session(content, session_options(num_threads=1))
    images = np.stack([image, image[::-1]])
    (name,) = (each.name for each in session.get_inputs())
    (both,) = session.run(None, {name: images})
    (alone,) = session.run(None, {name: images[:1]})
    if len(both) != 2 or np.isclose(both[:1], alone, 1e-3, 1e-3).mean() < 0.999:
        raise ExportError("The file mixes the images of a batch; export with batch=1.")


def _check_node(node, images, constants) -> None:
    if node.op_type not in ALLOWED_OPERATIONS or node.domain:
        raise ExportError(
            f"{node.op_type} '{node.name}' is no operation that TensorRT has."
        )
    if node.op_type != "Cast" and images.intersection(node.input):
        raise ExportError(
            f"{node.op_type} '{node.name}' takes the image as uint8; TensorRT takes it "
            "in a Cast only."
        )
    if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
        return
    constant = constants.get(node.input[0])
    if constant is not None and constant.data_type == TensorProto.INT32:
        raise ExportError(
            f"DequantizeLinear '{node.name}' takes int32; TensorRT takes int8 only."
        )
    zero = constants.get(node.input[2]) if len(node.input) > 2 else None
    if zero is None or zero.data_type != TensorProto.INT8:
        raise ExportError(f"{node.op_type} '{node.name}' has no zero point of int8.")
    if np.any(numpy_helper.to_array(zero)):
        raise ExportError(
            f"{node.op_type} '{node.name}' has a zero point that is not zero, which "
            "TensorRT refuses."
        )
