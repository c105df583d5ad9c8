import struct

import flatbuffers
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from tflite_files import (
    SIZE,
    colour_mask,
    convert,
    float_logits,
    int8_logits,
    uint8_mask,
)

from keras_frm.labels import CAMVID
from keras_frm.runtime.backends.litert import exercise, open_tflite
from keras_frm.runtime.errors import ModelFileError
from keras_frm.runtime.file_metadata import FileMetadata
from keras_frm.runtime.tflite.check import check_tflite
from keras_frm.runtime.tflite.metadata_zip import attach

ABOUT = FileMetadata(CAMVID, "mask", 1, "float32", SIZE, "0.1.0")


def changed(content, change):
    """Return a file after a change to its graph, as an attacker would write it."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    change(model, model.subgraphs[0])
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def operator(model, graph, name):
    """Return the first operator of a kind."""
    number = getattr(schema.BuiltinOperator, name)
    codes = [max(c.builtinCode, c.deprecatedBuiltinCode) for c in model.operatorCodes]
    return next(o for o in graph.operators if codes[o.opcodeIndex] == number)


def refused(content, message):
    with pytest.raises(ModelFileError, match=message) as caught:
        check_tflite(content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("make", [float_logits, uint8_mask, int8_logits, colour_mask])
def test_good_files(make):
    check_tflite(make())
    check_tflite(attach(make(), ABOUT))
    check_tflite(changed(make(), lambda model, graph: None))


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda x: tf.nn.depth_to_space(x, 2), (1, 8, 8, 4)),
        (lambda x: tf.nn.space_to_depth(x, 2), (1, 8, 8, 3)),
        (lambda x: tf.nn.max_pool2d(x, 3, 2, "VALID"), (1, 9, 8, 3)),
        (
            lambda x: tf.pad(x, ((0, 0), (1, 2), (3, 0), (0, 0)), "REFLECT"),
            (1, 8, 8, 3),
        ),
        (lambda x: tf.pad(x, ((0, 0), (1, 2), (3, 0), (0, 0))), (1, 8, 8, 3)),
        (lambda x: tf.transpose(x, (0, 3, 1, 2)), (1, 8, 9, 3)),
        (lambda x: tf.concat(tf.split(x, (1, 2), -1)[::-1], -1), (1, 8, 8, 3)),
        (lambda x: tf.concat(tf.split(x, 3, -1)[::-1], 1), (1, 8, 8, 3)),
        (lambda x: x[:, 1:-2, ::2, :2], (1, 8, 9, 3)),
        (lambda x: tf.matmul(x[0], x[0], transpose_b=True), (1, 8, 9, 3)),
        (lambda x: tf.nn.softmax(tf.reshape(x, (8, -1))), (1, 8, 9, 3)),
        (lambda x: tf.reduce_max(x, (1, 2), keepdims=True) - x, (1, 8, 9, 3)),
        (lambda x: tf.gather(x, (2, 0), axis=-1), (1, 8, 9, 3)),
        (lambda x: tf.gather_nd(x, tf.cast(x[..., :1] * 0, tf.int32)), (1, 8, 9, 3)),
        (lambda x: tf.sin(tf.cumsum(x, 1)), (1, 8, 9, 3)),
        (lambda x: tf.image.resize(x, (5, 7), "nearest"), (1, 8, 9, 3)),
        (
            lambda x: tf.nn.conv2d(x, tf.ones((3, 3, 3, 4)), 1, "SAME", None, 2),
            (1, 8, 9, 3),
        ),
        (
            lambda x: tf.nn.conv2d_transpose(
                x, tf.ones((3, 3, 4, 3)), (1, 16, 18, 4), 2, "SAME"
            ),
            (1, 8, 9, 3),
        ),
        (lambda x: tf.stack(tf.unstack(x, axis=2), axis=1), (1, 8, 4, 3)),
        (lambda x: tf.nn.leaky_relu(x) / (tf.exp(-x) + 1), (1, 8, 4, 3)),
    ],
)
def test_operators_of_foreign_files(function, shape):
    content = convert(function, *shape)
    check_tflite(content)
    exercise(content, 1)


@pytest.mark.parametrize(
    "content",
    [b"", b"TFL3", b"\x89PNG\r\n\x1a\n" + bytes(50), b"PK\x03\x04" + bytes(50)],
    ids=["empty", "short", "png", "zip"],
)
def test_foreign_files(content):
    refused(content, "it is no .tflite file")


@pytest.mark.parametrize("make", [float_logits, int8_logits])
def test_truncated(make):
    content = make()
    for share in (0.1, 0.5, 0.9, 0.99):
        refused(content[: int(share * len(content))], "damaged")


def test_changed_after_export():
    content = bytearray(attach(float_logits(), ABOUT))
    content[len(float_logits()) // 2] ^= 1
    refused(bytes(content), "was changed after export")


def test_root_outside_the_file():
    for root in (0, 6, 2**31, 2**32 - 4):
        refused(struct.pack("<I", root) + float_logits()[4:], "damaged")


def set_conv(name, value):
    def change(model, graph):
        setattr(operator(model, graph, "CONV_2D").builtinOptions, name, value)

    return change


def conv_tensor(place):
    def find(model, graph):
        return graph.tensors[operator(model, graph, "CONV_2D").inputs[place]]

    return find


def conv_output(model, graph):
    return graph.tensors[operator(model, graph, "CONV_2D").outputs[0]]


def set_name(model, graph):
    graph.tensors[0].name = "x" * 40_000


def repeat_input(model, graph):
    operator(model, graph, "CONCATENATION").inputs = [0] * 2000


def write_constant(model, graph):
    graph.operators[3].outputs = operator(model, graph, "CONV_2D").inputs[1:2]


def reverse(model, graph):
    graph.operators.reverse()


def double_subgraph(model, graph):
    model.subgraphs.append(graph)


def set_input(index):
    def change(model, graph):
        graph.operators[0].inputs = [index, 1]

    return change


def set_shape(find, shape):
    def change(model, graph):
        find(model, graph).shape = shape

    return change


def set_first(name, value):
    def change(model, graph):
        setattr(graph.tensors[graph.inputs[0]], name, value)

    return change


def set_data(name, place, *values):
    def change(model, graph):
        tensor = graph.tensors[operator(model, graph, name).inputs[place]]
        data = struct.pack(f"<{len(values)}i", *values)
        model.buffers[tensor.buffer].data = list(data)

    return change


def set_code(model, graph):
    model.operatorCodes[0].customCode = "Evil"


def set_missing_options(model, graph):
    conv = operator(model, graph, "CONV_2D")
    conv.builtinOptionsType, conv.builtinOptions = 0, None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (write_constant, "writes what is written already"),
        (reverse, "uses what is not computed yet"),
        (double_subgraph, "2 subgraphs"),
        (set_input(10**6), "names a tensor that is not there"),
        (set_input(-2), "names a tensor that is not there"),
        (set_input(-1), "an input is left out"),
        (set_shape(conv_tensor(1), [8, 3, 3, 4]), "bytes instead of"),
        (set_shape(conv_tensor(0), [1, 32, -48, 3]), "shape"),
        (set_shape(conv_tensor(0), [2**15, 2**15, 2**15, 3]), "bytes"),
        (set_first("buffer", 10**6), "missing buffer"),
        (set_first("type", 77), "has type 77"),
        (set_first("isVariable", True), "variable or sparse"),
        (set_code, "not built in"),
        (set_name, "a string has 40000 letters"),
        (repeat_input, "an operator has 2000 tensors"),
    ],
)
def test_hostile_graphs(change, message):
    refused(changed(float_logits(), change), message)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scale", [0.0]),
        ("scale", [-1.0]),
        ("scale", [float("nan")]),
        ("scale", [float("inf")]),
        ("scale", [1e-40]),
        ("zeroPoint", [999]),
        ("zeroPoint", []),
        ("quantizedDimension", 9),
        ("scale", [0.1, 0.1]),
    ],
)
def test_hostile_quantisation(name, value):
    def change(model, graph):
        tensor = graph.tensors[operator(model, graph, "ADD").outputs[0]]
        setattr(tensor.quantization, name, value)

    refused(changed(int8_logits(), change), "quantisation of tensor")


def set_weight_scale(model, graph):
    """XNNPACK frees memory twice when it refuses such a scale."""
    weights = graph.tensors[operator(model, graph, "CONV_2D").inputs[1]]
    weights.quantization.scale = [8.8e27] * len(weights.quantization.scale)


@pytest.mark.parametrize(
    ("make", "change", "message"),
    [
        (float_logits, set_conv("strideH", 0), "stride_height"),
        (float_logits, set_conv("padding", 7), "CONV_2D"),
        (float_logits, set_missing_options, "CONV_2D"),
        (float_logits, set_shape(conv_tensor(1), [8, 3, 9, 1]), "CONV_2D"),
        (float_logits, set_shape(conv_output, [1, 2, 2, 8]), "instead of"),
        (float_logits, set_data("RESIZE_BILINEAR", 1, 0, 5), "RESIZE_BILINEAR"),
        (float_logits, set_data("MEAN", 1, 9), "axis"),
        (int8_logits, set_weight_scale, "crashes the interpreter"),
    ],
)
def test_what_only_a_trial_holds_back(make, change, message):
    content = changed(make(), change)
    check_tflite(content)
    with pytest.raises(ModelFileError, match=message) as caught:
        open_tflite(content, 1)
    assert "\n" not in str(caught.value)


def test_computed_sizes_are_refused():
    refused(
        convert(lambda x: tf.reshape(x, tf.cast(x[0, 0, :2, 0], tf.int32)), 1, 4, 4, 3),
        "computed at run time|shape",
    )
