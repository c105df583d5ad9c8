"""TFMOT's quantizers in Keras 3 layers, for training with simulated integers."""

import functools
import os

import keras
import tensorflow as tf

from keras_frm.quantization.layers.fake_quant import FakeQuant

_LEGACY = "TF_USE_LEGACY_KERAS"


@keras.saving.register_keras_serializable(package="keras_frm")
class MovingRange(FakeQuant):
    """Round tensors to the 256 numbers of a range that follows them while training.

    A training step moves the range a thousandth of the way to the mean of the images'
    smallest and largest numbers (and their means over replicas); inference leaves it.
    One image's extremes, not the batch's: a range must not depend on the batch size.

    Args:
        minimum: Smallest number of the range at the start; widened to 0 if above it.
        maximum: Largest number of the range at the start; widened to 0 if below it.
        symmetric: Whether zero is in the middle of the range.
        members: Number of tensors that share the range, which covers them all.
        freeze_after: Training steps after which the range stays; None for never.

    Call arguments:
        x: (B, ..., C), floating point.
        grid: See `FakeQuant`. A step that asks for it first rounds all members to one
            grid, that of before the step.
        member: Which of the tensors `x` is, 0 to `members` - 1.
        only_grid: See `FakeQuant`.

    Output: as `x`. Gradients pass where `x` is inside the range.

    Raises:
        ImportError: TFMOT or tf-keras is missing.

    Source: `MovingAverageQuantizer` of the TensorFlow Model Optimization Toolkit.

    Example:
    >>> layer = MovingRange(-1.0, 1.0)
    >>> _ = layer(keras.ops.array([[-2.0, 3.0]]), training=True)
    >>> [round(float(end), 6) for end in layer.ends()]
    [-1.001, 1.002]
    """

    def __init__(
        self,
        minimum: float,
        maximum: float,
        symmetric: bool = False,
        members: int = 1,
        freeze_after: int | None = None,
        **kwargs,
    ):
        super().__init__(minimum, maximum, symmetric, **kwargs)
        self.members = members
        self.freeze_after = freeze_after

    def build(self, input_shape):
        low, high = self.initial_range
        self.lows = self._add_end(low, "minima", (self.members,))
        self.highs = self._add_end(high, "maxima", (self.members,))
        self.steps = self.add_weight(
            shape=(),
            dtype="int32",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
            name="steps",
        )
        self._quantizer = _quantizers().MovingAverageQuantizer(
            num_bits=8,
            per_axis=True,  # an axis of members
            symmetric=self.symmetric,
            narrow_range=self.symmetric,
        )
        self.built = True

    def ends(self):
        return tf.reduce_min(self.lows.value), tf.reduce_max(self.highs.value)

    def call(self, x, grid=None, member=0, only_grid=False, training=False):
        if training and self.trainable and not only_grid:
            self._follow(x, member)
        return super().call(x, grid, only_grid)

    def _follow(self, x, member):
        """Move one tensor's own ends towards its extremes."""
        # TFMOT updates tf.Variables; it does not know those of Keras 3.
        lows, highs = self.lows.value, self.highs.value
        # Before the rest, which a gradient tape need not record then. A network has
        # hundreds of ranges, and every operation here takes its time to trace.
        x = tf.stop_gradient(x)
        axes = list(range(1, len(x.shape)))
        extremes = tf.stack([tf.reduce_min(x, axes), tf.reduce_max(x, axes)])  # (2, B)
        extremes = tf.reduce_mean(tf.cast(extremes, tf.float32), axis=1)[:, None]
        moves = tf.one_hot(member, self.members, True, False)
        if self.freeze_after is not None:
            moves &= self.steps.value < self.freeze_after
        # Towards where they are: a branch has no place in a distributed step.
        extremes = tf.where(moves, extremes, tf.stack([lows, highs]))  # (2, members)
        self._quantizer(extremes, True, {"min_var": lows, "max_var": highs})
        if member == self.members - 1:
            self.steps.value.assign_add(1)

    def get_config(self):
        return {
            **super().get_config(),
            "members": self.members,
            "freeze_after": self.freeze_after,
        }


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

    def steps(self, kernel):
        """Return the distance of each output channel's numbers: (C_out,), float64."""
        values = tf.cast(keras.ops.convert_to_tensor(kernel), tf.float32)
        by_channel = tf.reshape(values, self._shape(kernel))  # (..., channels)
        axes = list(range(len(by_channel.shape) - 1))
        size = tf.stop_gradient(tf.reduce_max(tf.abs(by_channel), axes))
        return tf.where(size > 0, tf.cast(size, tf.float64) / 127, 1.0)

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
