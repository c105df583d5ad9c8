"""TFMOT's quantizers in Keras 3 layers, for training with simulated integers."""

import functools
import os

import keras
import tensorflow as tf

from keras_frm.deploy.quantization.fake_quant import FakeQuant

_LEGACY = "TF_USE_LEGACY_KERAS"


@keras.saving.register_keras_serializable(package="keras_frm")
class MovingRange(FakeQuant):
    """Round a tensor to the 256 numbers of a range that follows it while training.

    A training step moves the range a thousandth of the way to the batch's smallest and
    largest number (their means over replicas); inference leaves it. `trainable = False`
    freezes it from the next compilation on.

    Args:
        minimum: Smallest number of the range at the start; widened to 0 if above it.
        maximum: Largest number of the range at the start; widened to 0 if below it.

    Input and output: (B, ..., C), floating point. Gradients pass where the input is
    inside the range.

    Raises:
        ImportError: TFMOT or tf-keras is missing.

    Source: `MovingAverageQuantizer` of the TensorFlow Model Optimization Toolkit.

    Example:
    >>> layer = MovingRange(-1.0, 1.0)
    >>> _ = layer(keras.ops.array([[-2.0, 3.0]]), training=True)
    >>> [round(float(weight), 6) for weight in layer.weights]
    [-1.001, 1.002]
    """

    def build(self, input_shape):
        super().build(input_shape)
        self._quantizer = _quantizers().MovingAverageQuantizer(
            num_bits=8, per_axis=False, symmetric=False, narrow_range=False
        )

    def add_weight(self, **kwargs):
        """Add an end of the range; half precision has no thousandths of it."""
        return super().add_weight(**kwargs, dtype="float32", autocast=False)

    def call(self, x, training=False):
        if not training or not self.trainable:
            return super().call(x)
        # TFMOT updates tf.Variables; it does not know those of Keras 3.
        ends = {"min_var": self.minimum.value, "max_var": self.maximum.value}
        return tf.cast(self._quantizer(tf.cast(x, tf.float32), True, ends), x.dtype)


@keras.saving.register_keras_serializable(package="keras_frm")
class KernelQuant(keras.layers.Layer):
    """Round a kernel to the 255 numbers of each output channel.

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
    >>> KernelQuant()(kernel + 0.004).numpy().round(2).tolist()
    [[0.10000000149011612, 100.0], [1.2699999809265137, -127.0]]
    """

    def __init__(self, depthwise: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.depthwise = depthwise

    def build(self, input_shape):
        self._quantizer = _quantizers().LastValueQuantizer(
            num_bits=8, per_axis=True, symmetric=True, narrow_range=True
        )
        self.built = True

    def call(self, kernel):
        ends = {"min_var": _PassedOn(), "max_var": _PassedOn()}
        by_channel = tf.reshape(tf.cast(kernel, tf.float32), self._shape(kernel))
        rounded = self._quantizer(by_channel, True, ends)  # (..., channels)
        return tf.cast(tf.reshape(rounded, kernel.shape), kernel.dtype)

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


class _PassedOn:
    """In a variable's place: hands on what it is assigned and keeps nothing."""

    def assign(self, value, name=None):
        """Return the value."""
        return tf.stop_gradient(value)


@functools.cache
def _quantizers():
    """Import TFMOT's quantizers and leave the process in Keras 3."""
    before = os.environ.get(_LEGACY)
    try:
        # TFMOT asks for Keras 2, which `tf.keras` becomes if nobody used it before.
        _ = tf.keras.layers
        import tensorflow_model_optimization as tfmot
    except ImportError as error:
        raise ImportError(
            "Quantisation-aware training needs tensorflow-model-optimization and "
            "tf-keras: pip install 'keras_frm[train]'."
        ) from error
    finally:
        if before is None:
            os.environ.pop(_LEGACY, None)
        else:
            os.environ[_LEGACY] = before
    return tfmot.quantization.keras.quantizers
