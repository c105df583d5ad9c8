"""How Keras' attention layers are written as ONNX nodes."""

import numpy as np

from keras_frm.export.onnx.graph_writer import GraphWriter, Value
from keras_frm.export.onnx.operations import OnnxCall, emits


@emits("MultiHeadAttention")
def _multi_head_attention(writer: GraphWriter, call: OnnxCall) -> Value:
    layer, name = call.operation, call.name
    query, value, key, *further = call.args
    key = value if key is None else key
    _check_no_masks(call, further)
    config = layer.get_config()
    everywhere = tuple(range(1, query.rank - 1))
    if config["attention_axes"] != everywhere or config.get("sliding_window"):
        raise ValueError(
            f"MultiHeadAttention '{name}' does not attend to all places at once; the "
            "export to ONNX has no rule for that."
        )
    by_head = (
        _heads(writer, x, dense, f"{name}.{text}", order)
        for x, dense, text, order in (
            (query, layer.query_dense, "query", [0, 2, 1, 3]),
            (key, layer.key_dense, "key", [0, 2, 3, 1]),
            (value, layer.value_dense, "value", [0, 2, 1, 3]),
        )
    )
    scale = np.float32(layer.key_dim**-0.5)
    y = _attended(writer, *by_head, scale, name)  # (B, N, T, V)
    y = writer.node("Transpose", [y], f"{name}.places", perm=[0, 2, 1, 3])
    y = _reshaped(writer, y, (0, 0, -1), f"{name}.heads")  # (B, T, N V)
    kernel = np.asarray(layer.output_dense.kernel)
    kernel = kernel.reshape(-1, kernel.shape[-1])  # (N V, C)
    y = _projected(writer, y, kernel, layer.output_dense.bias, f"{name}.output")
    return Value(_reshaped(writer, y, (0, *call.shape[1:]), name), call.shape)


@emits("Attention")
def _attention(writer: GraphWriter, call: OnnxCall) -> Value:
    layer, name = call.operation, call.name
    (query, value, *keys), *further = call.args
    _check_no_masks(call, further)
    if layer.score_mode != "dot":
        raise ValueError(
            f"Attention '{name}' has score_mode '{layer.score_mode}', for which the "
            "export to ONNX has no rule; use 'dot'."
        )
    key = writer.last(keys[0] if keys else value)
    key = writer.node("Transpose", [key], f"{name}.key", perm=[0, 2, 1])
    scale = np.float32(1.0 if layer.scale is None else layer.scale)
    names = writer.last(query), key, writer.last(value)
    return Value(_attended(writer, *names, scale, name), call.shape)


def _check_no_masks(call, further):
    if any(each is not None and each is not False for each in further):
        raise ValueError(
            f"{type(call.operation).__name__} '{call.name}' has a mask or returns its "
            "scores; the export to ONNX has no rule for that."
        )


def _attended(writer, query, key, value, scale, name):
    """Write softmax(scale query key) value; the key is transposed already."""
    if scale != 1:
        factor = writer.constant(scale, f"{name}.scale")
        query = writer.node("Mul", [query, factor], f"{name}.scaled")
    scores = writer.node("MatMul", [query, key], f"{name}.scores")
    weights = writer.node("Softmax", [scores], f"{name}.weights", axis=-1)
    return writer.node("MatMul", [weights, value], name)


def _heads(writer, x, dense, name, order):
    """Write a projection (B, T, N, K) of a value, its axes in another order."""
    kernel = np.asarray(dense.kernel)  # (C, N, K)
    channels, heads, width = kernel.shape
    y = _reshaped(writer, writer.last(x), (0, -1, channels), f"{name}.tokens")
    y = _projected(writer, y, kernel.reshape(channels, -1), dense.bias, name)
    y = _reshaped(writer, y, (0, -1, heads, width), f"{name}.heads")
    return writer.node("Transpose", [y], f"{name}.ordered", perm=order)


def _projected(writer, x, kernel, bias, name):
    kernel = writer.constant(kernel.astype(np.float32), f"{name}.kernel")
    y = writer.node("MatMul", [x, kernel], name)
    if bias is None:
        return y
    bias = writer.constant(np.asarray(bias, np.float32).reshape(-1), f"{name}.bias")
    return writer.node("Add", [y, bias], f"{name}.biased")


def _reshaped(writer, x, shape, name):
    """Write a Reshape; a side of 0 stays as it is."""
    shape = writer.constant(np.array(shape, np.int64), f"{name}.shape")
    return writer.node("Reshape", [x, shape], name)
