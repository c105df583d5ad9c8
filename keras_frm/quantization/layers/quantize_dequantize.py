"""What a QuantizeLinear and a DequantizeLinear node of an ONNX file compute."""

import keras
import tensorflow as tf

from keras_frm.quantization.layers.integer_grid import round_mantissa
from keras_frm.quantization.layers.moving_average import MovingAverageFakeQuant
from keras_frm.quantization.layers.trained_convolution import TrainedConvolution

_FLOAT16_BITS = 11
# Below it float16 has fewer bits.
_SMALLEST_SCALE = 2.0**-14


def node_scale(x):
    """Return scales that a file holds in float32 and in float16 alike.

    Args:
        x: Tensor of positive numbers.

    Returns:
        Float32 tensor: eleven significant bits, and 2^-14 at least.

    Example:
    >>> scale = node_scale([0.1, 1e-7]).numpy()
    >>> bool((scale.astype("float16") == scale).all())
    True
    """
    return tf.maximum(round_mantissa(x, _FLOAT16_BITS), _SMALLEST_SCALE)


def round_to_grid(x, scale, smallest: int):
    """Return `x / scale`, rounded and cut to integers of 8 bits, times `scale`.

    Args:
        x: Float32 tensor.
        scale: A scalar, or one number for each channel.
        smallest: Smallest integer, -128 or -127; the largest is 127.

    Returns:
        Tensor as `x`. Gradients pass where nothing is cut.

    Example:
    >>> round_to_grid(tf.constant([0.3, 0.75, -99.0]), 0.5, -128).numpy().tolist()
    [0.5, 1.0, -64.0]
    """

    @tf.custom_gradient
    def rounded(x):
        integers = tf.round(x / scale)
        inside = (integers >= smallest) & (integers <= 127)
        y = tf.clip_by_value(integers, smallest, 127) * scale
        return y, lambda upstream: tf.where(inside, upstream, 0.0)

    return rounded(tf.convert_to_tensor(x))


@keras.saving.register_keras_serializable(package="keras_frm")
class QuantizeDequantize(MovingAverageFakeQuant):
    """Round a tensor to int8 without a zero point, with an observer of its range.

    The integers go from -128 to 127; the larger end of the range is at 127.

    Args:
        minimum: Smallest number of the range at the start.
        maximum: Largest number of the range at the start.
        **kwargs: See `MovingAverageFakeQuant`.

    Input and output: (B, ..., C), floating point. Gradients pass where `x` is inside
    the range.

    Example:
    >>> layer = QuantizeDequantize(-1.0, 127.0)
    >>> layer(keras.ops.array([[-500.0, 0.6, 500.0]])).numpy().tolist()
    [[-128.0, 1.0, 127.0]]
    """

    def grid(self):
        low, high = (tf.cast(end, tf.float64) for end in self.ends())
        scale = node_scale(tf.maximum(-low, high) / 127)
        return -128 * scale, 127 * scale, scale

    def call(self, x, training=False):
        if training and self.trainable:
            self._observe(x, member=0)
        x = tf.convert_to_tensor(x)
        y = round_to_grid(tf.cast(x, tf.float32), self.scale(), -128)
        return tf.cast(y, x.dtype)

    def compute_output_spec(self, x, **kwargs):
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)


@keras.saving.register_keras_serializable(package="keras_frm")
class WeightQuantizedConvolution(TrainedConvolution):
    """Run a convolution with an int8 kernel in float, and train its float weights.

    Each output channel has a scale, its largest weight is 127 steps away from zero.
    The bias stays float.

    Args:
        layer: A `Conv2D` or `DepthwiseConv2D`.

    Input and output: those of the layer. Gradients pass the rounding.

    Example:
    >>> layer = WeightQuantizedConvolution(keras.layers.Conv2D(1, 1, use_bias=False))
    >>> layer.build((None, 1, 1, 2))
    >>> layer.layer.set_weights([keras.ops.array([[[[127.0], [0.4]]]])])
    >>> float(layer(keras.ops.ones((1, 1, 1, 2)))[0, 0, 0, 0])
    127.0
    """

    def call(self, x):
        kernel, *bias = (tf.convert_to_tensor(w) for w in self.layer.weights)
        scale = self.by_kernel(self.kernel_scale())
        kernel = tf.cast(kernel, tf.float32) * self.by_kernel(self.gain)
        kernel = round_to_grid(kernel, scale, -127)
        biases = [tf.cast(b, tf.float32) * self.gain for b in bias]
        weights = [tf.cast(w, self.compute_dtype) for w in (kernel, *biases)]
        return self.with_weights(x, weights)

    def kernel_scale(self):
        """Return the distance of each output channel's weights: (C_out,) float32."""
        gain = tf.cast(self.gain, tf.float64)
        return node_scale(gain * self.fake_quant.scales(self.layer.kernel))

    def compute_output_spec(self, x):
        shape = self.layer.compute_output_shape(x.shape)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)
