"""Bilinear resizing as an int8 file computes it."""

import keras
import numpy as np
import tensorflow as tf

_BITS = 11  # of the weights of XNNPACK's kernel


@keras.saving.register_keras_serializable(package="keras_frm")
class QuantizedResize(keras.layers.Layer):
    """Resize integers with weights of eleven bits, halves rounded up.

    Where the sizes are no multiples of each other, the weights are up to 2^-12 off
    those of float arithmetic. Between neighbours that are the whole range apart, that
    is a tenth of a step, and rounding makes a whole one of it now and then.

    Args:
        size: Height and width of the result.

    Call arguments:
        x: (B, h, w, C), multiples of `scale`.
        scale: Distance of the numbers, a scalar.

    Output: (B, *size, C), multiples of `scale`. In training it is the bilinear resizing
    in float, which the range behind rounds; gradients are always those.

    Example:
    >>> x = keras.ops.reshape(keras.ops.array([0.0, 1.0]), (1, 1, 2, 1))
    >>> QuantizedResize((1, 4))(x, scale=0.5).numpy().ravel().tolist()
    [0.0, 0.5, 1.0, 1.0]
    """

    def __init__(self, size: tuple[int, int], **kwargs):
        super().__init__(**kwargs)
        self.size = tuple(size)

    def build(self, x_shape, scale_shape=None):
        self.built = True

    def call(self, x, scale, training=False):
        if training:
            return tf.image.resize(x, self.size)

        @tf.custom_gradient
        def resize(x):
            y = tf.cast(x / scale, tf.int32)
            y = _interpolate(y, self.size[1], axis=2)  # (B, h, width, C), 11 bits
            y = _interpolate(y, self.size[0], axis=1)  # (B, height, width, C), 22 bits
            y = tf.bitwise.right_shift(y + (1 << 2 * _BITS - 1), 2 * _BITS)

            def gradient(upstream):
                return tf.raw_ops.ResizeBilinearGrad(
                    grads=upstream, original_image=x, half_pixel_centers=True
                )

            return tf.cast(y, tf.float32) * scale, gradient

        return resize(tf.convert_to_tensor(x))

    def compute_output_shape(self, x_shape, scale_shape=None):
        return (x_shape[0], *self.size, x_shape[3])

    def compute_output_spec(self, x, scale, **kwargs):
        shape = self.compute_output_shape(x.shape)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "size": self.size}


def _interpolate(x, size, axis):
    """Return weighted sums of neighbours along an axis, with 11 more bits."""
    before, after, weight = _neighbours(x.shape[axis], size)
    shape = [1, 1, 1, 1]
    shape[axis] = size
    first, second = tf.gather(x, before, axis=axis), tf.gather(x, after, axis=axis)
    return first * (1 << _BITS) + (second - first) * weight.reshape(shape)


def _neighbours(known, size):
    """Return the two positions that each new one lies between, and the second's weight.

    Pixels have their centres at halves. In float32, as the weights are in a file.
    """
    scale = np.float32(known) / np.float32(size)
    half = np.float32(0.5)
    position = (np.arange(size, dtype=np.float32) + half) * scale - half
    position = position.clip(0, known - 1)
    before = position.astype(np.int32)
    weight = np.rint((position - before.astype(np.float32)) * (1 << _BITS))
    return before, np.minimum(before + 1, known - 1), weight.astype(np.int32)
