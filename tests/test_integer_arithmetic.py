"""Networks that train for int8 compute the numbers of their files, bit by bit."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import twelve_bits
from keras import layers, ops
from test_fake_quant_layers import EAGER_AND_GRAPH
from test_quantize_aware import run_file
from tiny import tiny_model

from keras_frm import export_tflite, quantize_aware, recalibrate
from keras_frm.quantization.layers.integer_grid import (
    nudged_grid,
    ordered_product,
    round_mantissa,
)
from keras_frm.quantization.layers.quantized_layer_norm import QuantizedLayerNorm
from keras_frm.quantization.layers.quantized_leaky_relu import QuantizedLeakyRelu
from keras_frm.quantization.layers.quantized_multiply import QuantizedMultiply
from keras_frm.quantization.layers.quantized_pooling import (
    QuantizedGlobalPooling,
)
from keras_frm.quantization.layers.quantized_resize import QuantizedResize

pytest.importorskip("tf_keras")

SIZE = (15, 22)


def images(count, size=SIZE, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *size, 3), np.uint8)


# === Beside the kernels of LiteRT ===


def conv(filters, size=1, **options):
    return layers.Conv2D(filters, size, padding="same", **options)


def depthwise(x):
    x = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(conv(6)(x))
    return layers.DepthwiseConv2D(7, padding="same", dilation_rate=3)(x)


def gate(x):
    return ops.multiply(conv(6)(x), ops.sigmoid(conv(6)(x)))


def product_of_rows(x):
    row = layers.Conv2D(6, (SIZE[0], 1), name="row")(x)  # (B, 1, W, 6)
    return ops.multiply(conv(6)(x), row)


def resized(x):
    x = conv(5, 3, strides=2)(x)
    return ops.image.resize(x, (29, 37), interpolation="bilinear")


def shrunk(x):
    return ops.image.resize(conv(5)(x), (8, 13), interpolation="bilinear")


def excited(x):
    """A gate of the whole image's mean (Hu et al., 2018)."""
    x = conv(6, 3)(x)
    y = layers.GlobalAveragePooling2D(keepdims=True)(x)
    y = conv(6, activation="sigmoid")(conv(4, activation="relu")(y))
    return layers.Multiply()([x, y])


def residual(x):
    x = conv(6, 3, activation="relu")(x)
    y = layers.Add()([x, conv(6, 3)(x), conv(6)(x)])
    return layers.ReLU()(layers.Add()([y, conv(6)(y)]))


def normalised(channels):
    def network(x):
        x = conv(channels, 3, kernel_initializer="random_normal")(x)
        # Channels of other sizes, so that there is something to bring to one size.
        x = layers.DepthwiseConv2D(1, depthwise_initializer="random_normal")(x)
        return layers.LayerNormalization(epsilon=1e-6)(x)

    return network


def normalised_twice(x):
    """The second reads what the first one gives, not what a convolution makes of it."""
    x = layers.LayerNormalization()(conv(8, 3)(x))
    return ops.add(conv(6)(layers.LayerNormalization()(x)), conv(6)(x))


def upsampled(x):
    x = layers.UpSampling2D(2)(conv(5, 3, strides=2)(x))
    return layers.Resizing(29, 37)(layers.UpSampling2D((1, 3))(conv(4)(x)))


def transposed(x):
    """A decoder of transposed convolutions, two of them with cuts at the edges."""
    x = layers.Conv2DTranspose(6, 2, 2)(conv(5, 3, strides=4)(x))
    x = layers.BatchNormalization()(layers.Conv2DTranspose(5, 3, 2, "same")(x))
    return layers.Conv2DTranspose(4, 5, 3, "same", activation="relu")(x)


def leaky(x):
    x = layers.LeakyReLU(0.1)(layers.SeparableConv2D(8, 3, padding="same")(x))
    slopes = np.linspace(-0.5, 1.5, 8).reshape(1, 1, 8)  # all sides of the line
    given = keras.initializers.Constant(slopes)
    return layers.PReLU(given, shared_axes=[1, 2])(conv(8)(x))


def of_a_mobile_net(x):
    x = conv(6, 3, activation="hard_swish")(x)
    y = layers.GlobalAveragePooling2D(keepdims=True)(x)
    y = conv(6, activation="hard_sigmoid")(conv(4, activation="relu")(y))
    return layers.Activation("hard_swish")(layers.Multiply()([x, y]))


def smooth(x):
    x = conv(6, 3, activation="swish")(x)
    return layers.Activation("tanh")(conv(6, activation="elu")(x))


def merged(x):
    first, second = conv(6, 3)(x), conv(6)(x)
    x = layers.Maximum()([first, layers.Minimum()([first, second])])
    x = layers.Average()([x, first, layers.GlobalMaxPooling2D(keepdims=True)(second)])
    x = layers.SpatialDropout2D(0.2)(layers.GaussianNoise(0.1)(x))
    return layers.ZeroPadding2D(1)(layers.Cropping2D(1)(layers.Identity()(x)))


def means(x):
    """Means of maps whose zero is any integer: half of a step is met often."""
    x = conv(8, 3, strides=2, activation="swish")(x)
    y = layers.AveragePooling2D((2, 1))(conv(8, activation="hard_swish")(x))
    y = layers.GlobalAveragePooling2D(keepdims=True)(layers.MaxPooling2D((1, 5))(y))
    x = layers.AveragePooling2D(2, strides=1)(x)
    x = layers.AveragePooling2D(3, padding="same")(x)
    return layers.Concatenate()([x, layers.Multiply()([layers.Conv2D(8, 1)(x), y])])


def joined(x):
    """Ranges that kernels dictate beside others."""
    gates = [conv(3, activation=name)(x) for name in ("sigmoid", "tanh")]
    return layers.Concatenate()([ops.multiply(conv(4)(x), 20.0), *gates, x / 127.5])


NETWORKS = {
    "means": means,
    "joined": joined,
    "upsampling": upsampled,
    "transposed": transposed,
    "leaky": leaky,
    "hard": of_a_mobile_net,
    "smooth": smooth,
    "merged": merged,
    "convolution": lambda x: conv(8, 3, strides=2, activation="relu6")(x),
    "grouped": lambda x: conv(8, 3, groups=2)(conv(4)(x)),
    "dense": lambda x: layers.Dense(7)(conv(5)(x)),
    "depthwise": depthwise,
    "gate": gate,
    "product of other shapes": product_of_rows,
    "gate of the mean": excited,
    "resize": resized,
    "shrink": shrunk,
    "sums": residual,
    "normalisation": normalised(32),
    "normalisation of 5": normalised(5),
    "normalisation of 160": normalised(160),
    "normalisation of float": normalised_twice,
}


def with_random_biases(model, seed=0):
    random = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name in ("bias", "beta"):
            weight.assign(random.normal(0, 1, weight.shape))


def quantized(name, **options):
    """Return one of the networks, quantised to be trained."""
    keras.utils.set_random_seed(0)
    x = keras.Input((*SIZE, 3), name="image")
    y = conv(4, name="classifier")(NETWORKS[name](conv(3, 3)(x)))
    model = keras.Model(x, ops.image.resize(y, SIZE, interpolation="bilinear"))
    with_random_biases(model)
    return quantize_aware(model, representative_data=images(4), **options)


@pytest.mark.parametrize("name", NETWORKS)
def test_file_gives_the_very_numbers_of_the_graph(name, tmp_path):
    assert_equal_numbers(quantized(name), images(12, seed=1), tmp_path)


@pytest.mark.parametrize("name", [n for n in NETWORKS if n != "merged"])  # noise
def test_training_rounds_to_the_same_steps_in_float(name):
    """All but the numbers next to the middle of two steps, and what they reach."""
    trainable = quantized(name, freeze_after=0)
    given = tf.constant(images(12, seed=1), tf.float32)
    trained = trainable(given, training=True).numpy()
    inferred = trainable(given, training=False).numpy()
    _, _, step = trainable.get_layer("classifier.range").grid()
    steps = np.abs(trained - inferred) / step.numpy()
    assert 0 < steps.mean() < 0.3
    assert np.quantile(steps, 0.99) < 3


def assert_equal_numbers(model, given, folder):
    """Compare the logits of a model and of its file."""
    path = folder / "net.tflite"
    size = given.shape[1:3]
    export_tflite(
        model, path, input_shape=size, precision="int8", output="logits",
        representative_data=given[:2],
    )  # fmt: skip
    expected = model.predict(given.astype("float32"), batch_size=4, verbose=0)
    assert len(np.unique(expected)) > 50
    np.testing.assert_array_equal(run_file(path, given), expected)


@pytest.mark.slow
def test_file_gives_the_very_numbers_after_training_and_after_new_ranges(tmp_path):
    keras.utils.set_random_seed(0)
    x = keras.Input((*SIZE, 3), name="image")
    y = layers.ReLU()(NETWORKS["normalisation"](conv(3, 3)(x)))
    trainable = quantize_aware(
        keras.Model(x, conv(4, name="classifier")(y)), representative_data=images(4)
    )
    trainable.trainable = False
    trainable.trainable = True  # of all layers
    trainable.compile(keras.optimizers.Adam(0.02), "mse")
    given, wanted = images(8), np.random.default_rng(3).normal(size=(8, *SIZE, 4))
    trainable.fit(given.astype("float32"), wanted, epochs=6, batch_size=4, verbose=0)
    assert_equal_numbers(trainable, images(6, seed=1), tmp_path)
    final = recalibrate(trainable, representative_data=images(4))
    assert_equal_numbers(final, images(6, seed=1), tmp_path)
    kinds = [type(layer) for layer in final.layers]
    assert QuantizedLayerNorm in kinds
    assert layers.LayerNormalization not in kinds


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["van", "efficientnet_lite0"])
def test_whole_network_without_attention_and_its_file(backbone, tmp_path):
    """Attention computes in float: a number of its result may round another way."""
    keras.utils.set_random_seed(0)
    size = (64, 96)
    own = {} if backbone == "van" else {"backbone": backbone}
    model = tiny_model(num_classes=3, context=None, **own)
    given = images(6, size)
    trainable = quantize_aware(model, representative_data=given[:3], input_shape=size)
    assert_equal_numbers(trainable, given, tmp_path)


# === Scales ===


def test_rounded_mantissas_are_those_of_float64():
    x = np.random.default_rng(0).lognormal(0, 9, 1000)
    actual = round_mantissa(tf.constant(x)).numpy().astype(float)
    np.testing.assert_array_equal(actual, twelve_bits(x.astype(np.float32)))


def test_range_made_of_a_range_is_the_same():
    random = np.random.default_rng(0)
    for low, high in random.lognormal(0, 3, (50, 2)) * [-1, 1]:
        first = [float(x) for x in nudged_grid(low, high)]
        assert [float(x) for x in nudged_grid(*first[:2])] == first
        assert first[2] * 255 == pytest.approx(high - low, rel=3e-4)
        steps = np.array(first[:2]) / first[2]
        np.testing.assert_array_equal(steps, np.round(steps))


def test_product_of_products_is_taken_in_its_order():
    """TensorFlow would multiply the scalar and the vector first."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 64, 64)).astype(np.float32)
    factor = np.float32(0.0123)

    @tf.function
    def function(x, y, factor):
        return ordered_product(x * y, factor)

    np.testing.assert_array_equal(function(x, y, factor), (x * y) * factor)


# === Layers, beside float64 ===


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (10, 14), (13, 4), (5, 7)])
def test_resize_is_near_that_of_float(size):
    x = np.random.default_rng(0).integers(-128, 128, (2, 5, 7, 3)) * 0.5
    actual = QuantizedResize(size)(x.astype(np.float32), scale=0.5).numpy()
    exact = tf.image.resize(x, size).numpy()
    assert np.abs(actual - exact).max() <= 0.5 * 0.5 + 0.05  # half a step and weights
    np.testing.assert_array_equal(actual, np.round(actual / 0.5) * 0.5)
    same = QuantizedResize((5, 7))(x.astype(np.float32), scale=0.5)
    np.testing.assert_array_equal(same, x)


def gradient_of(function, *tensors):
    """Gradients of the product of a function's result with random numbers."""
    tensors = [tf.constant(tensor) for tensor in tensors]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        y = function(*tensors)
        upstream = np.random.default_rng(7).normal(size=y.shape).astype(np.float32)
        total = tf.reduce_sum(y * upstream)
    return tape.gradient(total, tensors)


def test_gradient_of_a_resize_is_that_of_float():
    x = np.random.default_rng(0).integers(-128, 128, (2, 5, 7, 3)).astype(np.float32)
    (actual,) = gradient_of(lambda x: QuantizedResize((9, 16))(x, scale=1.0), x)
    (expected,) = gradient_of(lambda x: tf.image.resize(x, (9, 16)), x)
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@EAGER_AND_GRAPH
@pytest.mark.parametrize("shape", [(2, 4, 5, 3), (1, 1, 5, 3), (2, 4, 5, 1)])
def test_product_and_its_gradients_are_those_of_float64(wrap, shape):
    random = np.random.default_rng(0)
    x = (random.integers(-99, 99, (2, 4, 5, 3)) * 0.25).astype(np.float32)
    y = (random.integers(-99, 99, shape) * 0.5).astype(np.float32)
    layer = QuantizedMultiply()

    def multiply(x, y):
        return layer(x, y, x_scale=0.25, y_scale=0.5, output_scale=3.0)

    expected = 3 * np.round(x.astype(float) * y / 3)
    np.testing.assert_array_equal(wrap(multiply)(x, y), expected)
    actual = gradient_of(wrap(multiply), x, y)
    for one, other in zip(actual, gradient_of(tf.multiply, x, y), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)


def normalisations(channels=6):
    """The layer, and Keras' one of the same weights."""
    plain = layers.LayerNormalization(epsilon=1e-3)
    plain.build((None, channels))
    random = np.random.default_rng(2)
    plain.set_weights([random.normal(1, 0.2, channels) for _ in range(2)])
    return QuantizedLayerNorm.of(plain, unit=0.25), plain


@EAGER_AND_GRAPH
def test_normalisation_and_its_gradients_are_those_of_keras(wrap):
    x = np.random.default_rng(0).integers(-400, 400, (2, 3, 5, 6)) * np.float32(0.125)
    layer, plain = normalisations()

    def normalise(x):
        return layer(x, scale=0.5)

    double = plain.get_config() | {"dtype": "float64"}
    reference = layers.LayerNormalization.from_config(double)
    reference.build((None, 6))
    reference.set_weights(plain.get_weights())
    expected = reference(x.astype(float))
    np.testing.assert_allclose(wrap(normalise)(x), expected, rtol=1e-5, atol=1e-6)
    (actual,) = gradient_of(wrap(normalise), x)
    (wanted,) = gradient_of(lambda x: tf.cast(reference(x), tf.float32), x)
    np.testing.assert_allclose(actual, wanted, rtol=1e-4, atol=1e-6)


def test_normalisation_of_one_number_everywhere():
    layer, _ = normalisations()
    x = np.full((1, 2, 2, 6), 3.0, np.float32)
    np.testing.assert_allclose(layer(x, scale=0.5)[0, 0, 0], layer.beta, atol=1e-6)


def test_normalisation_comes_back():
    layer, plain = normalisations()
    for weight, other in zip(layer.float_layer().weights, plain.weights, strict=True):
        np.testing.assert_array_equal(weight, other)


@EAGER_AND_GRAPH
def test_normalisation_does_not_depend_on_the_order_of_its_sums(wrap):
    x = np.random.default_rng(0).integers(-400, 400, (1, 9, 9, 64)).astype(np.float32)
    layer = QuantizedLayerNorm(epsilon=1e-6)
    expected = wrap(lambda x: layer(x, scale=1.0))(x)
    order = np.random.default_rng(1).permutation(64)
    shuffled = wrap(lambda x: layer(x, scale=1.0))(x[..., order])
    np.testing.assert_array_equal(shuffled, np.asarray(expected)[..., order])


@pytest.mark.parametrize(
    ("layer", "shapes"),
    [
        (QuantizedMultiply(name="a"), [(2, 3, 4, 5), (1, 1, 4, 5)]),
        (QuantizedLeakyRelu(0.25, name="a"), [(2, 3, 4, 5)]),
        (QuantizedResize((5, 6), name="a"), [(2, 3, 4, 5)]),
        (QuantizedGlobalPooling(name="a"), [(2, 3, 4, 5)]),
        (QuantizedGlobalPooling(True, name="a"), [(2, 3, 4, 5)]),
        (QuantizedLayerNorm(0.25, 1e-5, name="a"), [(2, 3, 4, 5)]),
    ],
    ids=lambda x: type(x).__name__,
)
def test_config_comes_back_and_shapes_are_known(layer, shapes):
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    tensors = [keras.Input(shape[1:], batch_size=shape[0]) for shape in shapes]
    taken = inspect.signature(layer.call).parameters
    scales = {name: 0.5 for name in taken if name.endswith(("scale", "low"))}
    known = layer(*tensors, **scales).shape
    assert known == layer(*(np.zeros(s, np.float32) for s in shapes), **scales).shape
