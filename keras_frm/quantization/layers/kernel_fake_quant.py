"""Fake quantisation of kernels, with a scale for each output channel."""

import keras
import tensorflow as tf

from keras_frm.quantization.layers.tfmot import tfmot_quantizers


@keras.saving.register_keras_serializable(package="keras_frm")
class KernelFakeQuant(keras.layers.Layer):
    """Round a kernel to the 255 numbers of each output channel's symmetric range.

    The range is that of the kernel as it is, also at inference: the range of the step
    before would clip what the optimiser or an average of weights has changed since.

    Args:
        depthwise: Whether the last two axes are the output channels, not the last one.

    Input and output: (..., C_in, C_out), floating point. Gradients pass everywhere.

    For training. TFLite's converter refuses this rounding in `Dense` and `Conv1D`;
    an export puts the rounded kernel into a plain layer, which it stores unchanged.

    Raises:
        ImportError: TFMOT or tf-keras is missing.

    Source: `LastValueQuantizer` of the TensorFlow Model Optimization Toolkit.

    Example:
    >>> kernel = keras.ops.array([[0.1, 100.0], [1.27, -127.0]])  # (C_in, C_out)
    >>> KernelFakeQuant()(kernel + 0.004).numpy().round(2).tolist()
    [[0.10000000149011612, 100.0], [1.2699999809265137, -127.0]]
    """

    def __init__(self, depthwise: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.depthwise = depthwise

    def build(self, input_shape):
        self._quantizer = tfmot_quantizers().LastValueQuantizer(
            num_bits=8, per_axis=True, symmetric=True, narrow_range=True
        )
        self.built = True

    def call(self, kernel):
        ends = {"min_var": _NoVariable(), "max_var": _NoVariable()}
        shape, kernel = self._shape(kernel), tf.convert_to_tensor(kernel)
        by_channel = _reshaped(tf.cast(kernel, tf.float32), shape)
        rounded = self._quantizer(by_channel, True, ends)  # (..., channels)
        return tf.cast(_reshaped(rounded, kernel.shape), kernel.dtype)

    def scales(self, kernel):
        """Return the scale of each output channel: (C_out,), float64."""
        values = tf.cast(keras.ops.convert_to_tensor(kernel), tf.float32)
        by_channel = tf.reshape(values, self._shape(kernel))  # (..., channels)
        axes = list(range(len(by_channel.shape) - 1))
        largest = tf.stop_gradient(tf.reduce_max(tf.abs(by_channel), axes))
        return tf.where(largest > 0, tf.cast(largest, tf.float64) / 127, 1.0)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "depthwise": self.depthwise}

    def _shape(self, kernel):
        """Return a shape TFMOT and the converter know, with the channels last."""
        *window, inputs, outputs = kernel.shape
        if self.depthwise:
            return (*window, 1, inputs * outputs)
        return (1, *kernel.shape) if len(window) == 1 else kernel.shape


def _reshaped(x, shape):
    """Return a tensor in a shape, without an operation where it has it."""
    return x if tuple(x.shape) == tuple(shape) else tf.reshape(x, shape)


class _NoVariable:
    """In a variable's place: hands on what it is assigned and keeps nothing."""

    def assign(self, value, name=None):
        return tf.stop_gradient(value)
