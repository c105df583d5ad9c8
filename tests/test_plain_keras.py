"""Layers of plain Keras in the graphs that are quantised and exported.

That their files compute the graph's numbers is in `test_integer_arithmetic`.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops
from test_graph_passes import (
    assert_left_alone,
    assert_same_function,
    chain,
    graph_of,
    image,
    kinds,
    outputs_of,
)

from keras_frm import export_tflite, quantize_aware
from keras_frm.backend.tensorflow.tflite_converter import ConversionError, convert
from keras_frm.export.tflite.convert import to_tflite
from keras_frm.graph.graph import Graph
from keras_frm.graph.passes.drop_clipped_relu import drop_clipped_relu
from keras_frm.graph.passes.fold_batch_norm import fold_batch_norm
from keras_frm.graph.passes.integer_activations import integer_activations
from keras_frm.graph.passes.primitive_layers import primitive_layers
from keras_frm.graph.passes.separate_activations import separate_activations
from keras_frm.graph.passes.subpixel_convolution import subpixel_convolution
from keras_frm.graph.passes.uneven_biases import uneven_biases
from keras_frm.graph.strides import at_stride, logits_by_stride
from keras_frm.layers import DepthToSpace
from keras_frm.quantization.layers.fake_quant import FakeQuant
from keras_frm.quantization.layers.quantized_leaky_relu import QuantizedLeakyRelu
from keras_frm.runtime.backends.litert import load_interpreter
from keras_frm.targets import target_of

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 12, 16, 3), np.uint8)

# === primitive_layers ===


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.SeparableConv2D(4, 3), {"DepthwiseConv2D": 1, "Conv2D": 1}),
        (
            layers.SeparableConv2D(4, 3, 2, "same", depth_multiplier=2, use_bias=False),
            {"DepthwiseConv2D": 1, "Conv2D": 1},
        ),
        (
            layers.SeparableConv2D(4, 3, dilation_rate=2, padding="same"),
            {"DepthwiseConv2D": 1, "Conv2D": 1},
        ),
        (layers.UpSampling2D(), {"Resize": 1}),
        (layers.UpSampling2D((3, 1), interpolation="bilinear"), {"Resize": 1}),
        (layers.Resizing(7, 20), {"Resize": 1}),
        (layers.Resizing(18, 28, interpolation="nearest"), {"Resize": 1}),
        (layers.Normalization(mean=[1, 2, 3], variance=[4, 5, 6]), {"Rescaling": 1}),
        (layers.Normalization(axis=None, mean=2, variance=3), {"Rescaling": 1}),
        (
            layers.Normalization(mean=[1, 2, 3], variance=[4, 0, 6], invert=True),
            {"Rescaling": 1},
        ),
    ],
)
def test_layer_becomes_what_it_is_made_of(layer, expected):
    x = image()
    model = keras.Model(x, layer(x))
    new = primitive_layers(model)
    assert kinds(new) == expected
    assert_same_function(model, new)


def test_resizing_to_the_size_it_has_falls_away():
    new = primitive_layers(chain(layers.Conv2D(4, 3), layers.Resizing(7, 12)))
    assert kinds(new) == {"Conv2D": 1}


@pytest.mark.parametrize(
    "layer",
    [
        layers.UpSampling2D(interpolation="bicubic"),
        layers.Resizing(4, 4, interpolation="area"),
        layers.Resizing(8, 8, crop_to_aspect_ratio=True),
        layers.Resizing(8, 8, pad_to_aspect_ratio=True),
        layers.Normalization(axis=1, mean=np.arange(9), variance=np.ones(9)),
    ],
)
def test_what_is_no_plain_resizing_or_scale_is_left_alone(layer):
    x = image()
    assert_left_alone(primitive_layers, keras.Model(x, layer(x)))


@pytest.mark.parametrize("divisor", [127.5, np.array([2.0, 4.0, 0.5], "float32")])
def test_division_by_a_constant_is_a_product(divisor):
    x = image()
    model = keras.Model(x, x / divisor - 1.0)
    new = primitive_layers(model)
    assert kinds(new) == {"Multiply": 1, "Subtract": 1}
    assert_same_function(model, new)


@pytest.mark.parametrize("function", [lambda x: x / (x + 9), lambda x: 2 / (x + 9)])
def test_division_by_a_tensor_stays_one(function):
    x = image()
    model = keras.Model(x, function(x))
    new = primitive_layers(model)
    assert "Multiply" not in kinds(new)
    assert_same_function(model, new)


def test_average_of_three():
    x = image()
    parts = [layers.Conv2D(4, 1)(x) for _ in range(3)]
    model = graph_of(x, layers.Average()(parts))
    new = primitive_layers(model)
    assert kinds(new) == {"Conv2D": 3, "Add": 2, "LayerScale": 1}
    assert_same_function(model, new)


# === subpixel_convolution ===


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 3, 4, (5, 2)])
def test_transposed_convolution_is_one_of_subpixels(size, stride, padding):
    layer = layers.Conv2DTranspose(4, size, stride, padding)
    model = chain(layer)
    new = subpixel_convolution(model)
    assert "Conv2DTranspose" not in kinds(new)
    assert_same_function(model, new)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("size", "more"), [(3, 0), (3, 1), (4, 1)])
def test_transposed_convolution_with_padding_of_its_output(size, more, padding):
    layer = layers.Conv2DTranspose(
        4, size, 2, padding, output_padding=more, use_bias=False
    )
    model = chain(layer)
    assert_same_function(model, subpixel_convolution(model))


@pytest.mark.parametrize(("size", "stride"), [(2, 2), (4, 4)])
def test_without_overlap_nothing_is_padded_or_cut(size, stride):
    new = subpixel_convolution(chain(layers.Conv2DTranspose(4, size, stride, "same")))
    assert kinds(new) == {"Conv2D": 1, "DepthToSpace": 1}


def test_batch_norm_and_relu_join_the_convolution_of_subpixels():
    model = chain(
        layers.Conv2DTranspose(4, 3, 2), layers.BatchNormalization(), layers.ReLU()
    )
    new = subpixel_convolution(fold_batch_norm(model))
    names = [type(call.operation).__name__ for call in Graph(new).calls]
    assert names == ["ZeroPadding2D", "Conv2D", "ReLU", "DepthToSpace", "Cropping2D"]
    assert_same_function(model, new)


@pytest.mark.parametrize(
    "options", [{"strides": (1, 2)}, {"activation": "relu"}, {"dilation_rate": 2}]
)
def test_other_transposed_convolutions_are_left_alone(options):
    x = image()
    model = keras.Model(x, layers.Conv2DTranspose(4, 3, **options)(x))
    assert subpixel_convolution(model) is model


def test_transposed_convolution_called_twice_is_left_alone():
    shared = layers.Conv2DTranspose(3, 2, 2)
    assert_left_alone(subpixel_convolution, chain(shared, shared))


def test_blocks_are_rows_then_columns_then_channels():
    random = np.random.default_rng(0)
    x = random.normal(size=(2, 3, 4, 18)).astype("float32")
    y = x.reshape(2, 3, 4, 3, 3, 2).transpose(0, 1, 3, 2, 4, 5).reshape(2, 9, 12, 2)
    np.testing.assert_array_equal(DepthToSpace(3)(x), y)
    layer = DepthToSpace.from_config(DepthToSpace(3).get_config())
    assert layer.compute_output_spec(keras.Input((3, 4, 18))).shape == (None, 9, 12, 2)


# === integer_activations ===


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (ops.silu, {"Sigmoid": 1, "Multiply": 1}),
        (ops.hard_sigmoid, {"Relu6": 1, "Rescaling": 1}),
        (ops.hard_silu, {"Relu6": 1, "Rescaling": 1, "Multiply": 1}),
    ],
)
def test_activation_of_integer_operations(activation, expected, alone):
    x = image()
    y = layers.Conv2D(4, 1)(x)
    y = activation(y) if alone else ops.add(activation(y), y)
    model = graph_of(x, y)
    new = integer_activations(model)
    # A convolution that another reads too cannot take up a factor.
    more = not alone and activation is not ops.silu
    others = {"Conv2D": 1} | ({} if alone else {"Add": 1})
    assert kinds(new) == expected | others | (
        {"Rescaling": expected["Rescaling"] + 1} if more else {}
    )
    assert_same_function(model, new)


@pytest.mark.parametrize("slopes", [[0.1, 0.5, 0.9], [-1.0, 1.0, 2.0], [0, 0, 0]])
def test_prelu_with_a_slope_of_each_channel(slopes):
    layer = layers.PReLU(shared_axes=[1, 2])
    x = image()
    model = keras.Model(x, layer(x))
    layer.alpha.assign(np.reshape(slopes, (1, 1, 3)))
    new = integer_activations(model)
    assert "PReLU" not in kinds(new)
    assert_same_function(model, new)


def test_prelu_with_one_slope_of_all():
    layer = layers.PReLU("random_uniform", shared_axes=[1, 2, 3])
    x = image()
    model = keras.Model(x, layer(x))
    new = integer_activations(model)
    assert "PReLU" not in kinds(new)
    assert_same_function(model, new)


def test_prelu_as_the_activation_of_a_convolution():
    slopes = layers.PReLU("random_uniform", shared_axes=[1, 2])
    model = chain(layers.Conv2D(4, 3, activation=slopes))
    new = integer_activations(separate_activations(model))
    assert kinds(new)["Relu"] == 1
    assert_same_function(model, new)


@pytest.mark.parametrize("axes", [None, [1], [2]])
def test_prelu_with_slopes_of_positions_is_left_alone(axes):
    assert_left_alone(integer_activations, chain(layers.PReLU(shared_axes=axes)))


def test_leaky_relu_of_integers_beside_its_transcription():
    random = np.random.default_rng(0)
    x = random.integers(-128, 128, (3, 4, 5, 6)).astype("float32") * np.float32(0.25)
    for slope, scale in ((0.3, 0.5), (0.1, 0.0625), (2.0, 0.25), (-0.5, 0.125)):
        y = QuantizedLeakyRelu(slope)(x, scale=0.25, output_scale=scale)
        factor = np.where(x < 0, np.rint(256 * 0.25 / scale * slope), 64 / scale)
        expected = np.floor((x / 0.25 * factor + 128) / 256) * scale
        np.testing.assert_array_equal(y, expected)


def test_gradient_of_the_leaky_relu_of_integers():
    x = tf.constant([[-2.0, 3.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = QuantizedLeakyRelu(0.25)(x, scale=0.5, output_scale=0.25)
    np.testing.assert_array_equal(tape.gradient(y, x), [[0.25, 1.0]])


# === Passes before the conversion ===


def quantised_convolution(bias):
    """A graph of channels of two sizes, its ranges, and a bias of all channels."""
    x = image()
    layer = layers.Conv2D(2, 1, name="conv")
    y = FakeQuant(-12.7, 12.7)(layer(FakeQuant(0, 255)(x)))
    model = keras.Model(x, y)
    layer.set_weights([np.array([[[[0.02, 0.005]] * 3]]), np.full(2, bias)])
    return model


@pytest.mark.parametrize("bias", [3.0, -3.0])
def test_equal_biases_of_unequal_channels_are_right_in_the_file(bias):
    model = quantised_convolution(bias)
    interpreter = load_interpreter(to_tflite(model, target_of("int8")), 1)
    taken, made = (
        interpreter.get_input_details()[0],
        interpreter.get_output_details()[0],
    )
    interpreter.set_tensor(taken["index"], np.zeros(taken["shape"], np.uint8))
    interpreter.invoke()
    expected = model(np.zeros(taken["shape"], np.float32))
    got = interpreter.get_tensor(made["index"])
    assert np.abs(got - expected).max() < 0.11  # a step of the range


@pytest.mark.parametrize("bias", [0.0, [1.0, 2.0]])
def test_other_biases_stay(bias):
    assert_left_alone(uneven_biases, quantised_convolution(bias))


def clipped(low, activation, *after):
    x = image()
    y = activation(layers.Conv2D(4, 1)(x))
    y = FakeQuant(low, 2.0)(y)
    for layer in after:
        y = layer(y)
    return graph_of(x, y)


def test_relu_that_a_range_makes_superfluous():
    model = clipped(0.0, ops.relu, DepthToSpace(2))
    new = drop_clipped_relu(model)
    assert kinds(new) == {"Conv2D": 1, "FakeQuant": 1, "DepthToSpace": 1}
    np.testing.assert_array_equal(*outputs_of(model), *outputs_of(new))


@pytest.mark.parametrize(
    "model",
    [
        clipped(0.0, ops.relu, layers.Conv2D(2, 1)),
        clipped(-1.0, ops.relu, DepthToSpace(2)),
        clipped(0.0, ops.relu6, DepthToSpace(2)),
        clipped(0.0, lambda x: ops.relu(FakeQuant(-1, 1)(x)), DepthToSpace(2)),
    ],
    ids=["no move", "below zero", "bounded", "of integers"],
)
def test_relu_that_does_something_stays(model):
    assert_left_alone(drop_clipped_relu, model)


# === Strides ===


def unet(interpolation="nearest", channels=3):
    x = keras.Input((12, 16, 3))
    y = skip = layers.Conv2D(4, 3, padding="same", activation="relu")(
        layers.Rescaling(1 / 255)(x)
    )
    y = layers.Conv2D(4, 3, padding="same")(layers.MaxPooling2D()(y))
    y = layers.Concatenate()(
        [layers.UpSampling2D(2, interpolation=interpolation)(y), skip]
    )
    return keras.Model(x, layers.Conv2D(channels, 1, name="classifier")(y))


def test_stride_before_an_upsampling_that_an_app_can_do():
    x = keras.Input(batch_shape=(1, 12, 16, 3))
    y = layers.Conv2D(2, 3, 2, "same")(x)
    for interpolation, expected in (("bilinear", {1, 2}), ("nearest", {1})):
        resized = layers.UpSampling2D(2, interpolation=interpolation)(y)
        model = keras.Model(x, resized)
        assert logits_by_stride(model).keys() == expected
    with pytest.raises(ValueError, match="cannot be had"):
        at_stride(model, 2)


@pytest.mark.parametrize(
    "function",
    [layers.Conv2D(2, 3), layers.GlobalAveragePooling2D(), layers.Flatten()],
)
def test_network_without_logits_of_all_pixels_is_refused_before_training(function):
    x = keras.Input((12, 16, 3))
    with pytest.raises(ValueError, match=r"whole stride|logits of all pixels"):
        quantize_aware(keras.Model(x, function(x)), representative_data=IMAGES)


# === Before training, and in the file ===


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_unet_as_it_comes(tmp_path, precision):
    keras.utils.set_random_seed(0)
    report = export_tflite(
        unet(),
        tmp_path / "unet.tflite",
        input_shape=(12, 16),
        precision=precision,
        representative_data=IMAGES,
        min_agreement=0,
    )
    assert report.operations["RESIZE_NEAREST_NEIGHBOR"] == 1
    assert not report.operations["TILE"]


def test_what_no_file_has_is_refused_before_training():
    model = unet("bicubic")
    (up,) = [layer.name for layer in model.layers if "up_sampling" in layer.name]
    with pytest.raises(ValueError, match="no rule for UpSampling2D"):
        quantize_aware(model, representative_data=IMAGES)
    line = f"UpSampling2D '{up}' cannot be exported: TFLite has no operation Resize"
    with pytest.raises(ValueError, match=line):
        quantize_aware(model, representative_data=IMAGES, keep_float=["up*", "conv*"])


@pytest.mark.parametrize(
    "options",
    [
        {"antialias": True},
        {"crop_to_aspect_ratio": True},
        {"pad_to_aspect_ratio": True},
        {"interpolation": "bicubic"},
    ],
)
def test_resizing_that_no_file_has_is_refused_before_training(options):
    x = keras.Input((12, 16, 3))
    y = layers.Conv2D(4, 3, 2, "same")(layers.Rescaling(1 / 255)(x))
    y = layers.Conv2D(2, 1)(ops.image.resize(y, (12, 16), **options))
    with pytest.raises(ValueError, match="no rule for Resize"):
        quantize_aware(keras.Model(x, y), representative_data=IMAGES)


def test_one_channel_is_refused_before_training():
    with pytest.raises(ValueError, match="one channel"):
        quantize_aware(unet(channels=1), representative_data=IMAGES)


@pytest.fixture
def mixed_policy():
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.usefixtures("mixed_policy")
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_global_policy_of_half_precision(tmp_path, precision):
    x = keras.Input((12, 16, 3))
    y = layers.Normalization(mean=[1, 2, 3], variance=[4, 5, 6])(x)
    y = layers.SeparableConv2D(4, 3, padding="same", activation="hard_swish")(y)
    y = layers.Conv2DTranspose(2, 2, 2)(layers.MaxPooling2D()(y))
    model = keras.Model(x, layers.Activation("linear", dtype="float32")(y))
    if precision == "int8":
        model = quantize_aware(model, representative_data=IMAGES)
        assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    report = export_tflite(
        model,
        tmp_path / "a.tflite",
        input_shape=(12, 16),
        precision=precision,
        representative_data=IMAGES,
        min_agreement=0,
    )
    assert report.partitions == 1
    assert keras.config.dtype_policy().name == "mixed_float16"


def test_features_beside_a_sigmoid_are_not_cut_off(tmp_path):
    keras.utils.set_random_seed(0)
    x = keras.Input((12, 16, 3))
    y = layers.Rescaling(1 / 16)(x)
    parts = [layers.Conv2D(4, 1)(y), layers.Conv2D(4, 1, activation="sigmoid")(y)]
    y = layers.Conv2D(3, 1)(layers.Concatenate()(parts))
    report = export_tflite(
        keras.Model(x, y),
        tmp_path / "a.tflite",
        input_shape=(12, 16),
        precision="int8",
        representative_data=IMAGES,
    )
    assert report.agreement > 0.95


def test_conversion_that_fails_is_one_line_and_nothing_on_the_terminal(capfd):
    x = keras.Input(batch_shape=(1, 8, 8, 3))
    with pytest.raises(ConversionError) as caught:
        convert(keras.Model(x, layers.UpSampling2D(interpolation="bicubic")(x)))
    assert str(caught.value) == "TFLite has no operation ResizeBicubic."
    assert "ResizeBicubic" not in capfd.readouterr().err
