"""Small .tflite files, converted from networks of a few layers."""

import functools

import keras
import numpy as np
import tensorflow as tf

SIZE = (32, 48)  # height and width of the input
CLASSES = 3


@functools.cache
def float_logits() -> bytes:
    """A float network with logits at a quarter of the input's size."""
    network = _network()
    return _convert(lambda image: network(image, training=False)).convert()


@functools.cache
def uint8_mask() -> bytes:
    """A float network whose output (1, H, W) is a uint8 mask."""
    network = _network()

    def mask_of(image):
        logits = tf.image.resize(network(image, training=False), SIZE)
        mask = tf.argmax(logits, axis=-1, output_type=tf.int32)
        return tf.cast(mask, tf.uint8)  # (1, H, W)

    return _convert(mask_of).convert()


@functools.cache
def int8_logits(input_type=tf.uint8) -> bytes:
    """A network quantised to int8, which takes uint8 images."""
    network = _network()
    converter = _convert(lambda image: network(image, training=False))
    random = np.random.default_rng(0)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [random.integers(0, 256, (1, *SIZE, 3)).astype(np.float32)] for _ in range(4)
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = input_type
    return converter.convert()


def colour_logits() -> bytes:
    """A network whose class is the strongest of the colours red, green and blue."""
    return _convert(lambda image: tf.nn.avg_pool2d(image, 4, 4, "SAME")).convert()


def colour_mask() -> bytes:
    """The same with a uint8 mask at the input's size."""

    def mask_of(image):
        return tf.cast(tf.argmax(image, axis=-1, output_type=tf.int32), tf.uint8)

    return _convert(mask_of).convert()


def convert(function, *shape: int) -> bytes:
    """Convert a function of one float32 tensor."""
    return _convert(function, shape).convert()


def _network() -> keras.Model:
    """A network of what the real one is made of, with fixed random weights."""
    keras.utils.set_random_seed(0)
    image = keras.Input((*SIZE, 3), batch_size=1)
    x = keras.layers.Rescaling(1 / 127.5, -1)(image)
    x = keras.layers.Conv2D(8, 3, 4, "same", activation="relu")(x)
    y = keras.layers.DepthwiseConv2D(3, dilation_rate=2, padding="same")(x)
    x = keras.layers.Add()([x, keras.layers.Multiply()([x, y])])
    y = keras.layers.AveragePooling2D(2)(x)
    y = keras.layers.Conv2D(8, 1, activation=keras.activations.gelu)(y)
    flat = keras.layers.Reshape((-1, 8))(y)
    y = y + keras.ops.mean(flat, axis=1)[:, None, None]
    y = keras.layers.UpSampling2D(2, interpolation="bilinear")(y)
    x = keras.layers.Concatenate()([x, y])
    return keras.Model(image, keras.layers.Conv2D(CLASSES, 1)(x))  # (1, H/4, W/4, 3)


def _convert(function, shape=(1, *SIZE, 3)) -> tf.lite.TFLiteConverter:
    """Return a converter of a function of one image, its weights frozen."""
    signature = tf.TensorSpec(shape, tf.float32, name="image")
    concrete = tf.function(function, input_signature=[signature])
    return tf.lite.TFLiteConverter.from_concrete_functions(
        [concrete.get_concrete_function()]
    )
