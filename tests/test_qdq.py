"""Training for ONNX: where tensors are rounded, and to which numbers."""

import json

import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
from keras import layers
from tiny import tiny_model, toy_model

from keras_frm import quantize_aware
from keras_frm.export.inference_graph import logits_graph
from keras_frm.export.onnx.graph import to_onnx
from keras_frm.graph.graph import Graph
from keras_frm.quantization.freeze import scheme_of, without_fake_quant
from keras_frm.quantization.layers import (
    QuantizeDequantize,
    WeightQuantizedConvolution,
)
from keras_frm.quantization.layers.quantize_dequantize import node_scale, round_to_grid
from keras_frm.quantization.qdq.plan import QdqPlan

onnxruntime = pytest.importorskip("onnxruntime")

SIZE = (24, 33)
IMAGES = np.random.default_rng(0).integers(0, 256, (6, *SIZE, 3), np.uint8)


def eleven_bits(x):
    """Round to eleven significant bits, in float64."""
    fraction, exponent = np.frexp(np.asarray(x, float))
    return np.ldexp(np.floor(fraction * 2**11 + 0.5) / 2**11, exponent)


# === Numbers ===


def test_scales_fit_into_float16():
    x = np.random.default_rng(0).lognormal(-4, 4, 2000).clip(1e-9, 6e4)
    scale = node_scale(tf.constant(x)).numpy()
    np.testing.assert_array_equal(scale.astype(np.float16), scale)
    expected = np.maximum(eleven_bits(x.astype(np.float32)), 2.0**-14)
    np.testing.assert_array_equal(scale, expected)


@pytest.mark.parametrize("smallest", [-128, -127])
def test_rounding_beside_float64(smallest):
    x = np.random.default_rng(0).normal(0, 60, (40, 50)).astype(np.float32)
    expected = np.clip(np.rint(x.astype(float) / 0.75), smallest, 127) * 0.75
    actual = round_to_grid(tf.constant(x), 0.75, smallest).numpy()
    np.testing.assert_array_equal(actual, expected)
    assert actual.min() == smallest * 0.75
    # Halves go to the even integer, as QuantizeLinear says.
    halves = round_to_grid(tf.constant([0.5, 1.5, 2.5, -0.5]), 1.0, smallest)
    np.testing.assert_array_equal(halves, [0, 2, 2, 0])


def test_gradient_passes_where_nothing_is_cut():
    x = tf.constant([-200.0, -128.0, 0.3, 127.4, 128.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = round_to_grid(x, 1.0, -128) * [1.0, 2, 3, 4, 5]
    np.testing.assert_array_equal(tape.gradient(y, x), [0, 2, 3, 4, 0])


def test_range_follows_training_and_stays_in_inference():
    layer = QuantizeDequantize(-1.0, 2.0, freeze_after=3)
    x = np.array([[-9.0, 0.0, 4.0]], np.float32)
    before = float(layer(x)[0, 2])
    assert before == 127 * float(eleven_bits(2 / 127))
    for _ in range(5):
        layer(x, training=True)
    # A thousandth of the way, three times.
    low = -1 - 8 * (1 - 0.999**3)
    np.testing.assert_allclose(float(layer.ends()[0]), low, rtol=1e-5)
    after = float(layer.scale())
    layer(x, training=True)
    assert float(layer.scale()) == after


@pytest.mark.parametrize("kind", ["conv", "depthwise", "strided"])
def test_convolution_beside_float64(kind):
    keras.utils.set_random_seed(0)
    options = {"padding": "same", "bias_initializer": "normal"}
    plain = {
        "conv": layers.Conv2D(5, 3, **options),
        "depthwise": layers.DepthwiseConv2D(3, depth_multiplier=2, **options),
        "strided": layers.Conv2D(4, 2, strides=2, use_bias=False),
    }[kind]
    x = np.random.default_rng(0).normal(size=(2, 6, 8, 3)).astype(np.float32)
    plain.build(x.shape)
    layer = WeightQuantizedConvolution.of(plain)
    kernel = np.asarray(plain.kernel, float)
    axes = (0, 1) if kind == "depthwise" else (0, 1, 2)
    scale = np.maximum(eleven_bits(np.abs(kernel).max(axes) / 127), 2.0**-14)
    rounded = np.clip(np.rint(kernel / scale), -127, 127) * scale
    np.testing.assert_allclose(layer.kernel_scale(), scale.ravel(), rtol=1e-3)
    reference = type(plain).from_config(plain.get_config())
    reference.build(x.shape)
    reference.set_weights([rounded, *plain.get_weights()[1:]])
    step = float(scale.max())
    np.testing.assert_allclose(layer(x), reference(x), atol=2e-2 * step)
    np.testing.assert_allclose(layer.float_layer()(x), plain(x), atol=1e-5)


def test_gradient_of_a_kernel_passes_its_rounding():
    layer = WeightQuantizedConvolution(layers.Conv2D(1, 1, use_bias=False))
    layer.build((None, 1, 1, 2))
    layer.gain.assign([3.0])
    x = tf.constant([[[[2.0, 5.0]]]])
    with tf.GradientTape() as tape:
        y = layer(x)
    (gradient,) = tape.gradient(y, layer.trainable_weights)
    np.testing.assert_allclose(np.ravel(gradient), [6, 15], rtol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        QuantizeDequantize(-1.0, 2.0, freeze_after=7, name="a"),
        WeightQuantizedConvolution(layers.DepthwiseConv2D(3, name="d"), name="d"),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_config_comes_back(layer):
    text = json.dumps(keras.saving.serialize_keras_object(layer))
    again = keras.saving.deserialize_keras_object(json.loads(text))
    assert again.get_config() == layer.get_config()


def test_half_precision():
    layer = QuantizeDequantize(-1.0, 1.0, dtype="mixed_bfloat16")
    assert layer(np.ones((1, 3), np.float32)).dtype == tf.bfloat16
    conv = WeightQuantizedConvolution(
        layers.Conv2D(2, 1, dtype="mixed_bfloat16"), dtype="mixed_bfloat16"
    )
    assert conv(np.ones((1, 4, 4, 3), np.float32)).dtype == tf.bfloat16


# === Where ===


def planned(build, **options):
    """The ranges of a small network, and its convolutions that are int8."""
    image = keras.Input((8, 8, 4), name="image")
    plan = QdqPlan(Graph(keras.Model(image, build(image))), **options)
    kernels = [call.operation.name for call in plan.convolutions]
    return list(plan.tensors_by_range()), kernels


def conv(name, channels=4, **options):
    return layers.Conv2D(channels, 3, padding="same", name=name, **options)


def named(name):
    return layers.Activation("linear", name=name)


def test_what_a_convolution_takes_is_rounded_and_not_what_it_gives():
    def build(x):
        return layers.Softmax()(conv("b")(layers.ReLU(name="relu")(conv("a")(x))))

    assert planned(build) == (["image", "relu"], ["a", "b"])


def test_two_convolutions_share_what_they_take():
    def build(x):
        x = layers.ReLU(name="relu")(x)
        return layers.Concatenate()([conv("a")(x), conv("b")(x)])

    assert planned(build) == (["relu"], ["a", "b"])


def test_the_other_side_of_a_sum():
    def build(x):
        y = layers.ReLU(name="relu")(x)
        return layers.Add(name="sum")([y, conv("a")(y)])

    # One tensor, taken twice.
    assert planned(build) == (["relu"], ["a"])

    def another(x):
        y = layers.LayerNormalization(name="norm")(x)
        return layers.Add(name="sum")([y, conv("a")(x)])

    assert planned(another) == (["image", "norm"], ["a"])


def test_a_sum_of_two_convolutions_rounds_one_side():
    def build(x):
        return layers.Add(name="sum")([conv("a")(x), conv("b")(x)])

    ranges, _ = planned(build)
    assert ranges == ["image", "a"]


def test_sums_that_nothing_fuses_stay_float():
    def of_others(x):
        y = conv("a")(x)
        first = layers.ReLU(name="relu")(y)
        return layers.Add(name="sum")([first, layers.LayerNormalization()(y)])

    def of_a_shared_result(x):
        y = conv("a")(x)
        return layers.Concatenate()([y, layers.Add()([y, x])])

    def of_another_shape(x):
        return layers.Add()([conv("a")(x), keras.ops.mean(x, (1, 2), keepdims=True)])

    for build in (of_others, of_a_shared_result, of_another_shape):
        assert planned(build) == (["image"], ["a"])


def test_padding_belongs_to_the_convolution():
    def build(x):
        x = layers.ReLU(name="relu")(x)
        x = layers.ZeroPadding2D(1, name="pad")(x)
        return layers.Conv2D(4, 3, name="a")(x)

    assert planned(build) == (["relu"], ["a"])


def test_what_stays_float():
    def build(x):
        x = layers.DepthwiseConv2D(3, name="depthwise")(conv("a")(x))
        x = conv("narrow", 1)(conv("b")(x))
        return layers.Dense(3, name="dense")(x)

    assert planned(build)[1] == ["a", "depthwise", "b"]
    assert planned(build, float_depthwise=True)[1] == ["a", "b"]
    assert planned(build, keep_float=["a"])[1] == ["depthwise", "b"]
    assert planned(build, keep_float="a")[1] == ["depthwise", "b"]
    with pytest.raises(ValueError, match="no operation is named 'c'"):
        planned(build, keep_float=["c"])


def test_a_sum_that_is_kept_float():
    def build(x):
        y = layers.ReLU(name="relu")(x)
        return layers.Add(name="sum")([y, conv("a")(x)])

    assert planned(build)[0] == ["image", "relu"]
    assert planned(build, keep_float=["sum"])[0] == ["image"]


# === The whole ===


def quantized(model, **options):
    return quantize_aware(
        model,
        representative_data=IMAGES,
        input_shape=SIZE,
        scheme="tensorrt",
        **options,
    )


def as_written(graph, images):
    """What ONNX Runtime computes of a graph, float32 around, nothing optimised."""
    proto = to_onnx(graph, float_type="float32")
    proto.opset_import[0].version = 19
    onnx.checker.check_model(proto, full_check=True)
    options = onnxruntime.SessionOptions()
    level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    return np.concatenate(
        [session.run(None, {"image": image[None]})[0] for image in images]
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"context": "ppm"}, marks=pytest.mark.slow),
        pytest.param({"context": None, "alignment": "flow"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_file_computes_what_the_network_computes(options):
    keras.utils.set_random_seed(0)
    model = quantized(tiny_model(**options))
    assert scheme_of(model) == "tensorrt"
    found = as_written(logits_graph(model, SIZE, 1), IMAGES[:3])
    expected = np.asarray(model.network(IMAGES[:3].astype("float32")))
    # An integer that falls the other way is rare, and a step.
    off = np.abs(found - expected) > 1e-4 * np.abs(expected).max()
    assert off.mean() < 0.01
    assert np.mean(found.argmax(-1) == expected.argmax(-1)) > 0.999


def test_nothing_is_lost_without_rounding():
    keras.utils.set_random_seed(0)
    model = tiny_model()
    network = without_fake_quant(quantized(model).network)
    images = IMAGES.astype("float32")
    expected = np.asarray(model.network(images))
    found = np.asarray(network(images))
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


def test_training_changes_weights_and_ranges():
    keras.utils.set_random_seed(0)
    model = quantized(toy_model(11))
    model.compile(optimizer="sgd")
    labels = np.random.default_rng(0).integers(0, 11, (6, *SIZE)).astype(np.uint8)
    before = [np.array(w) for w in model.network.weights]
    losses = model.fit(IMAGES, labels, batch_size=3, epochs=2, verbose=0)
    assert np.isfinite(losses.history["loss"]).all()
    after = model.network.weights
    moved = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    ranges = [w.name in ("minima", "maxima") for w in after]
    assert any(m and r for m, r in zip(moved, ranges, strict=True))
    assert any(m and not r for m, r in zip(moved, ranges, strict=True))


def test_depthwise_convolutions_can_stay_float():
    model = quantized(tiny_model(), float_depthwise=True)
    kernels = [
        layer
        for layer in model.network.layers
        if isinstance(layer, WeightQuantizedConvolution)
    ]
    assert kernels
    assert not any(layer.depthwise for layer in kernels)
    with pytest.raises(ValueError, match="goes with scheme='tensorrt'"):
        quantize_aware(
            tiny_model(),
            representative_data=IMAGES,
            input_shape=SIZE,
            float_depthwise=True,
        )
