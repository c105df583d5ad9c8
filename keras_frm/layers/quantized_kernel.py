"""A layer that computes with its kernel rounded to integers."""

import keras
import numpy as np
from keras import ops

from keras_frm.layers.layer_like import layer_like
from keras_frm.layers.tfmot_quantizer import KernelQuant


@keras.saving.register_keras_serializable(package="keras_frm")
class QuantizedKernel(keras.layers.Wrapper):
    """Run a convolution or a Dense layer on integers, and train its float weights.

    Input, kernel and bias are divided by their scales and rounded: int8 numbers and
    sums in 32 bits, as in an int8 file, whose sums these are whatever the order of
    the additions. One rounding that falls the other way is a step of the output, and
    a few layers later it has reached every number. The result is times the constant
    `gain` of each output channel, which is 1 unless the layer was made by `of`.

    Args:
        layer: A `Conv2D`, `Conv1D`, `DepthwiseConv2D` or `Dense`.

    Call arguments:
        x: The layer's input, on the numbers of a range around zero.
        step: Distance of those numbers, a scalar.

    Output: the layer's. Each output channel has its own scale, in depthwise
    convolutions too; that of its bias is this one times `step`. Gradients pass all
    roundings.

    Source: Jacob et al., Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference, 2018, section 2.4.

    Example:
    >>> layer = QuantizedKernel(keras.layers.Dense(1, use_bias=False))
    >>> layer.build((None, 2))
    >>> layer.layer.set_weights([keras.ops.array([[1.27], [0.006]])])
    >>> layer(keras.ops.array([[0.0, 1.0]]), step=0.5).numpy().round(4).tolist()
    [[0.009999999776482582]]
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs):
        super().__init__(layer, **kwargs)
        self.depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        self.rounding = KernelQuant(depthwise=self.depthwise, name="rounding")

    @classmethod
    def of(cls, layer: keras.layers.Layer) -> "QuantizedKernel":
        """Return a layer for training on from a built one, which it copies.

        The trained kernel has the size of a fresh one (He et al., 2015), and `gain`
        brings it back. Folding puts normalisations and layer scales into kernels,
        which can leave them a hundred times smaller: at the network's own learning
        rates, the first steps would overwrite them.

        Args:
            layer: A layer with weights.
        """
        copy = layer_like(layer, layer.get_weights())
        new = cls(copy, name=layer.name)
        new.build(layer.get_build_config()["input_shape"])
        kernel, *bias = layer.get_weights()
        by_channel = kernel.reshape(-1, new.gain.shape[0])  # (taps, C_out)
        size = np.sqrt(np.square(by_channel, dtype=float).mean(axis=0))  # (C_out,)
        gain = np.where(size > 0, size / np.sqrt(2 / len(by_channel)), 1.0)
        new.gain.assign(gain)
        by_channel = by_channel / gain
        copy.set_weights([by_channel.reshape(kernel.shape), *(b / gain for b in bias)])
        return new

    def build(self, x_shape, step_shape=None):
        super().build(x_shape)
        *_, inputs, outputs = shape = self.layer.kernel.shape
        self.rounding.build(shape)
        self.gain = self.add_weight(
            shape=(inputs * outputs if self.depthwise else outputs,),
            initializer="ones",
            trainable=False,
            dtype="float32",
            autocast=False,
            name="gain",
        )

    def call(self, x, step):
        step = ops.cast(step, "float32")
        kernel, bias, unit = self._integers(step)
        weights = zip(self.layer.weights, [kernel, *bias], strict=True)
        # Within the scope, whatever the layer does reads these weights.
        with keras.StatelessScope(list(weights)):
            # Half precision has not the bits for the sums.
            sums = self.layer.call(_rounded(ops.cast(x, "float32") / step))
        return ops.cast(sums * unit, self.compute_dtype)

    def compute_output_spec(self, x, step):
        shape = self.layer.compute_output_shape(x.shape)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def rounded(self, step: float, suffix: str = "") -> keras.layers.Layer:
        """Return a plain layer whose weights are the rounded ones.

        Args:
            step: Distance of the input's numbers.
            suffix: What its name has at the end.
        """
        kernel, bias, unit = self._integers(step)
        scale = self._by_kernel(unit / step)
        weights = [kernel * scale, *(b * unit for b in bias)]
        return layer_like(self.layer, weights, name=self.layer.name + suffix)

    def unrounded(self) -> keras.layers.Layer:
        """Return a plain layer with the weights that are trained."""
        kernel, *bias = self.layer.weights
        gain = self._by_kernel(self.gain)
        return layer_like(self.layer, [kernel * gain, *(b * self.gain for b in bias)])

    def _integers(self, step):
        """Return kernel, biases (none or one), and what a sum of 1 stands for.

        The last is (C_out,): each output channel has its own.
        """
        kernel, *bias = (ops.convert_to_tensor(w) for w in self.layer.weights)
        scale = self.rounding.steps(kernel)  # (C_out,)
        unit = self.gain * scale * step  # (C_out,)
        biases = [_rounded(b * self.gain / unit) for b in bias]
        return _rounded(self.rounding(kernel) / self._by_kernel(scale)), biases, unit

    def _by_kernel(self, channels):
        """Return (C_out,) numbers in the shape of the kernel's last axes."""
        *_, inputs, outputs = self.layer.kernel.shape
        return ops.reshape(channels, (inputs, outputs) if self.depthwise else (-1,))


def _rounded(x):
    """Round to integers; gradients pass."""
    return x + ops.stop_gradient(ops.round(x) - x)
