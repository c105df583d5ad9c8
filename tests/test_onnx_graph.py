"""Keras graphs as ONNX nodes: the numbers that ONNX Runtime computes of them."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from tiny import tiny_model

from keras_frm.export.onnx.convolutions import paddings
from keras_frm.export.onnx.graph import to_onnx
from keras_frm.export.onnx.graph_writer import GraphWriter, Value
from keras_frm.graph.flatten import flatten
from keras_frm.graph.passes.fold_batch_norm import fold_batch_norm
from keras_frm.graph.passes.separate_activations import separate_activations
from keras_frm.layers import AlignedUpsampling, DepthToSpace, FlowWarp
from keras_frm.targets import rewrite

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

SIZE = (13, 18)


def run(model, image):
    """Return what ONNX Runtime makes of an image."""
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (result,) = session.run(None, {"image": image})
    return result


def image_of(size=SIZE, seed=0, dtype="uint8"):
    image = np.random.default_rng(seed).integers(0, 256, (1, *size, 3))
    return image.astype(dtype)


def assert_same_numbers(network, size=SIZE, passes=()):
    keras.utils.set_random_seed(0)
    x = keras.Input((*size, 3), batch_size=1)
    model = keras.Model(x, network(x / 127.5 - 1.0))
    random = np.random.default_rng(1)
    for weight in model.weights:  # no statistics or biases that are 0 or 1
        weight.assign(random.uniform(0.1, 0.9, weight.shape))
    graph = rewrite(flatten(model, (*size, 3)), (separate_activations, *passes))
    expected = np.asarray(model(image_of(size, dtype="float32")))
    found = run(to_onnx(graph), image_of(size))
    assert found.shape == expected.shape
    largest = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=1e-5 * largest)


def attention(x):
    x = ops.reshape(layers.Conv2D(4, 3)(x), (1, -1, 4))
    similar = ops.matmul(x, ops.transpose(x, (0, 2, 1)))
    return ops.matmul(ops.softmax(similar, axis=2), x)


def dot_products(x):
    x = ops.reshape(x, (1, 78, 9))
    query, value, key = (layers.Dense(4)(x[:, :n]) for n in (30, 78, 78))
    return layers.Attention(use_scale=True)([query, value, key])


def adaptive(x):
    x = layers.Conv2D(4, 3, padding="same")(x)
    random = np.random.default_rng(2)
    rows, columns = (
        random.uniform(size=s).astype("float32") for s in ((5, 13), (3, 18))
    )
    x = ops.einsum("gh,bhwc->bgwc", rows, x)
    return ops.einsum("gw,bhwc->bhgc", columns, x)


def warped(x, align_corners=True):
    fine = layers.Conv2D(3, 1)(x)
    coarse = layers.Conv2D(4, 3, 3)(fine)
    flow = layers.Conv2D(2, 1)(AlignedUpsampling()(coarse, fine))
    return FlowWarp(align_corners)(coarse, 3 * flow)


NETWORKS = {
    "warped": warped,
    "warped from edge to edge": lambda x: warped(x, align_corners=False),
    "blocks of pixels": lambda x: DepthToSpace(2)(layers.Conv2D(12, 1)(x)),
    "convolution": lambda x: layers.Conv2D(5, 3, 2, padding="same")(x),
    "dilated": lambda x: layers.Conv2D(5, 3, padding="same", dilation_rate=2)(x),
    "grouped": lambda x: layers.Conv2D(6, (3, 1), groups=3)(x),
    "depthwise": lambda x: layers.DepthwiseConv2D(5, 2, "same")(x),
    "multiplier": lambda x: layers.DepthwiseConv2D(3, depth_multiplier=2)(x),
    "without bias": lambda x: layers.Conv2D(5, 2, use_bias=False)(x),
    "dense": lambda x: layers.Dense(4)(layers.Dense(5, use_bias=False)(x)),
    "activations": lambda x: layers.Conv2D(4, 1, activation="sigmoid")(
        layers.Conv2D(4, 1, activation="tanh")(ops.relu6(4 * ops.relu(x)))
    ),
    "gelu": lambda x: ops.gelu(layers.Conv2D(4, 1)(x), approximate=False),
    "softmax": lambda x: ops.softmax(layers.Conv2D(4, 1)(x), axis=-1),
    "batch norm": lambda x: layers.BatchNormalization()(layers.ReLU()(x)),
    "layer norm": lambda x: layers.LayerNormalization()(layers.Conv2D(6, 3)(x)),
    "plain norms": lambda x: layers.LayerNormalization(center=False)(
        layers.BatchNormalization(scale=False)(layers.Conv2D(6, 3)(x))
    ),
    "average": lambda x: layers.AveragePooling2D(4, 3, "same")(x),
    "average of the inside": lambda x: ops.average_pool(x, (3, 2), 2),
    "largest": lambda x: layers.MaxPooling2D(3, 2, "same")(x),
    "means": lambda x: x - ops.mean(x, axis=(1, 2), keepdims=True),
    "mean of all": lambda x: layers.Dense(3)(layers.GlobalAveragePooling2D()(x)),
    "larger": lambda x: ops.image.resize(x, (29, 37), interpolation="bilinear"),
    "smaller": lambda x: ops.image.resize(x, (5, 7), interpolation="bilinear"),
    "nearest": lambda x: ops.image.resize(x, (29, 7), interpolation="nearest"),
    "padded": lambda x: ops.pad(
        layers.ZeroPadding2D(((1, 0), (2, 3)))(layers.Conv2D(2, 1)(x)),
        ((0, 0), (0, 2), (1, 0), (0, 1)),
    ),
    "cropped": lambda x: layers.Cropping2D(((1, 2), (0, 3)))(layers.Conv2D(2, 1)(x)),
    "joined": lambda x: layers.Concatenate()([x, layers.Conv2D(2, 1)(x)]),
    "joined rows": lambda x: layers.Concatenate(1)([x, layers.Conv2D(3, 1)(x)]),
    "sums": lambda x: layers.Add()([layers.Conv2D(3, 1)(x), x, x]),
    "with constants": lambda x: ops.maximum(
        layers.Conv2D(3, 1)(x) * np.float32([1, -2, 3]), 0.1
    ),
    "columns": lambda x: layers.Permute((2, 1, 3))(layers.Conv2D(2, 1)(x)),
    "attention": attention,
    "adaptive": adaptive,
    "one axis": lambda x: layers.Reshape((13, 1, 36))(
        layers.Conv1D(2, 3, padding="same")(ops.reshape(x, (1, 13 * 18, 3)))
    ),
    "transposed": lambda x: layers.Conv2DTranspose(4, 3, 2, padding="same")(x),
    "transposed, valid": lambda x: layers.Conv2DTranspose(4, (3, 2), (2, 3))(x),
    "transposed, small kernel": lambda x: layers.Conv2DTranspose(
        4, 2, 3, "same", use_bias=False
    )(x),
    "more activations": lambda x: ops.celu(
        ops.selu(ops.softplus(ops.elu(layers.Conv2D(4, 1)(x), 0.7))), 0.6
    ),
    "slopes": lambda x: ops.softsign(ops.leaky_relu(layers.Conv2D(4, 1)(x), 0.3)),
    "bounded": lambda x: layers.ReLU(max_value=0.8)(layers.Conv2D(4, 1)(x)),
    "rms norm": lambda x: layers.RMSNormalization()(layers.Conv2D(6, 3)(x)),
    "unit norm": lambda x: layers.UnitNormalization()(layers.Conv2D(6, 3)(x)),
    "group norm": lambda x: layers.GroupNormalization(2)(layers.Conv2D(6, 3)(x)),
    "plain group norm": lambda x: layers.GroupNormalization(3, scale=False)(
        layers.Conv2D(6, 3)(x)
    ),
    "roots": lambda x: ops.rsqrt(1.0 + ops.exp(layers.Conv2D(4, 1)(x))),
    "sums over axes": lambda x: ops.sum(layers.Conv2D(4, 1)(x), axis=(1, 3)),
    "largest over axes": lambda x: (
        layers.Conv2D(4, 1)(x) - ops.max(x, axis=-1, keepdims=True)
    ),
    "largest of all": lambda x: layers.Dense(3)(layers.GlobalMaxPooling2D()(x)),
    "largest that stays": lambda x: layers.GlobalMaxPooling2D(keepdims=True)(
        layers.Conv2D(2, 1)(x)
    ),
    "flat": lambda x: layers.Dense(2)(layers.Flatten()(layers.Conv2D(2, 3, 3)(x))),
    "centre": lambda x: layers.CenterCrop(7, 9)(layers.Conv2D(2, 1)(x)),
    "part": lambda x: layers.Conv2D(4, 1)(x)[:, 1:-2, ::3, 1:],
    "one row": lambda x: layers.Conv2D(4, 1)(x)[:, 3, ..., 2:],
    "heads": lambda x: layers.MultiHeadAttention(2, 3, value_dim=5)(
        layers.Conv2D(4, 3, 3)(x), layers.Conv2D(6, 3, 2)(x)
    ),
    "heads by name": lambda x: layers.MultiHeadAttention(3, 2, use_bias=False)(
        key=layers.Conv2D(3, 2)(ops.reshape(x, (1, 26, 9, 3))),
        value=layers.Conv2D(5, 2)(ops.reshape(x, (1, 26, 9, 3))),
        query=layers.Conv2D(4, 3)(x),
    ),
    "dot products": dot_products,
    "dropped": lambda x: layers.Dropout(0.5)(layers.Identity()(x)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_numbers_of_keras(name):
    assert_same_numbers(NETWORKS[name])


@pytest.mark.parametrize("size", [(64, 96), (53, 75)])
@pytest.mark.parametrize(
    ("context", "alignment"),
    [
        *(("frm", "bilinear"), ("frm", "flow"), ("ppm", "bilinear")),
        *(("dappm", "bilinear"), (None, "flow")),
    ],
)
def test_the_numbers_of_a_network(context, alignment, size):
    keras.utils.set_random_seed(0)
    model = tiny_model(num_classes=5, context=context, alignment=alignment)
    graph = rewrite(flatten(model, (*size, 3)), (separate_activations, fold_batch_norm))
    expected = np.asarray(model(image_of(size, dtype="float32")))
    found = run(to_onnx(graph), image_of(size))
    largest = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=1e-5 * largest)
    np.testing.assert_array_equal(found.argmax(-1), expected.argmax(-1))


@pytest.mark.parametrize("name", [n for n in NETWORKS if n != "dropped"])
def test_half_precision_is_near(name):
    keras.utils.set_random_seed(0)
    x = keras.Input((*SIZE, 3), batch_size=1)
    model = keras.Model(x, NETWORKS[name](x / 127.5 - 1.0))
    graph = separate_activations(flatten(model, (*SIZE, 3)))
    half = to_onnx(graph, float_type="float16")
    assert half.opset_import[0].version == 19
    types = {tensor.data_type for tensor in half.graph.initializer}
    assert types <= {onnx.TensorProto.FLOAT16, onnx.TensorProto.INT64}
    expected = np.asarray(model(image_of(dtype="float32")))
    found = run(half, image_of())
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=0.01 * np.abs(expected).max())


def test_numbers_that_half_precision_does_not_hold():
    x = keras.Input((*SIZE, 3), batch_size=1)
    model = keras.Model(x, ops.multiply(x, 1e6))
    with pytest.raises(ValueError, match=r"multiply.* float16 does not hold"):
        to_onnx(model, float_type="float16")


def test_float_images_go_in_as_they_are():
    x = keras.Input((*SIZE, 3), batch_size=1)
    model = to_onnx(keras.Model(x, layers.Conv2D(2, 1)(x)), input_dtype="float32")
    kinds = [node.op_type for node in model.graph.node]
    assert kinds == ["Transpose", "Conv", "Transpose"]
    assert run(model, image_of(dtype="float32")).shape == (1, *SIZE, 2)


def test_layouts_change_where_they_must_and_once():
    x = keras.Input((*SIZE, 3), batch_size=1)
    y = layers.Conv2D(4, 3, padding="same")(x)
    y = layers.Add()([y, ops.relu(layers.Conv2D(4, 1)(y))])
    z = layers.LayerNormalization()(y)
    model = to_onnx(keras.Model(x, layers.Add()([z, layers.LayerNormalization()(y)])))
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("Transpose") == 2  # of the image, and before both norms


def test_equal_constants_are_stored_once():
    writer = GraphWriter()
    first = writer.constant(np.zeros(3, np.float32), "a")
    assert writer.constant(np.zeros(3, np.float32), "b") == first
    assert writer.constant(np.zeros(3, np.int64), "a") != first
    assert writer.constant(np.zeros((3, 1), np.float32), "a") != first


def test_names_stay_unique():
    writer = GraphWriter()
    names = [writer.node("Relu", ["x"], name) for name in ("a", "a", "a_1", "a")]
    assert len(set(names)) == 4


def test_axes_of_values():
    value = Value("x", (1, 4, 6, 3), first=True)
    assert [value.stored_axis(axis) for axis in (0, 1, 2, -1)] == [0, 2, 3, 1]
    assert Value("x", (1, 24, 3), first=True).stored_shape == (1, 3, 24)


@pytest.mark.parametrize("size", range(1, 9))
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_paddings_are_tensorflows(size, stride):
    x = np.arange(1.0, size + 1, dtype="float32").reshape(1, size, 1, 1)
    kernel = np.float32([1, 10, 100]).reshape(3, 1, 1, 1)
    y = np.asarray(ops.conv(x, kernel, (stride, 1), "same"))[0, :, 0, 0]
    before, _, after, _ = paddings((size, 1), (len(y), 1), (3, 1), (stride, 1), "same")
    padded = np.pad(x[0, :, 0, 0], (before, after))
    expected = [padded[i : i + 3] @ [1, 10, 100] for i in range(0, size, stride)]
    np.testing.assert_allclose(y, expected)


@pytest.mark.parametrize(
    "options",
    [
        {"interpolation": "bicubic"},
        {"antialias": True},
        {"crop_to_aspect_ratio": True},
        {"pad_to_aspect_ratio": True},
    ],
    ids=str,
)
def test_resizing_of_another_kind_is_refused(options):
    x = keras.Input((*SIZE, 3), batch_size=1)
    model = keras.Model(x, ops.image.resize(x, (5, 7), **options))
    with pytest.raises(ValueError, match="has no rule in the export to ONNX"):
        to_onnx(model)


@pytest.mark.parametrize(
    ("layer", "options", "match"),
    [
        ({}, {"use_causal_mask": True}, "'strange' has a mask"),
        ({"attention_axes": 1}, {}, "not attend to all places"),
    ],
    ids=str,
)
def test_attention_of_another_kind_is_refused(layer, options, match):
    x = keras.Input((*SIZE, 3), batch_size=1)
    attention = layers.MultiHeadAttention(1, 2, **layer, name="strange")
    with pytest.raises(ValueError, match=match):
        to_onnx(keras.Model(x, attention(x, x, **options)))


@pytest.mark.parametrize(
    ("layer", "match"),
    [
        (layers.SpectralNormalization(layers.Conv2D(2, 1)), "'strange' has no rule in"),
        (layers.UpSampling2D(2), "UpSampling2D 'strange' has no rule"),
        (layers.LayerNormalization(axis=1), r"'strange' is over axes \[1\]"),
    ],
    ids=lambda x: type(x).__name__,
)
def test_operation_without_a_rule_is_named(layer, match):
    layer.name = "strange"
    x = keras.Input((*SIZE, 3), batch_size=1)
    with pytest.raises(ValueError, match=match) as error:
        to_onnx(keras.Model(x, layer(x)))
    assert "\n" not in str(error.value)
