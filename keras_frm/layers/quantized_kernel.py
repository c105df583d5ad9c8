"""A layer that computes with its kernel rounded to integers."""

import keras
import numpy as np

from keras_frm.layers.tfmot_quantizer import KernelQuant


@keras.saving.register_keras_serializable(package="keras_frm")
class QuantizedKernel(keras.layers.Wrapper):
    """Run a convolution or a Dense layer with an int8 kernel, and train the float one.

    What it computes is `layer` with the rounded kernel, times the constant `gain` of
    each output channel, which is 1 unless the layer was made by `of`.

    Args:
        layer: A `Conv2D`, `Conv1D`, `DepthwiseConv2D` or `Dense`.

    Input and output: the layer's. Each output channel has its own scale, in depthwise
    convolutions too; the bias stays float, as an int8 file holds it in 32 bits.

    Example:
    >>> layer = QuantizedKernel(keras.layers.Dense(1, use_bias=False))
    >>> layer.build((None, 2))
    >>> layer.layer.set_weights([keras.ops.array([[1.27], [0.006]])])
    >>> layer(keras.ops.array([[0.0, 1.0]])).numpy().round(4).tolist()
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
        copy = _like(layer, layer.get_weights())
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

    def build(self, input_shape=None):
        super().build(input_shape)
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

    def call(self, x):
        weights = self.layer.weights
        values = self._weights(self.rounding)
        # Within the scope, whatever the layer does reads these weights.
        with keras.StatelessScope(list(zip(weights, values, strict=True))):
            return self.layer.call(x)

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def rounded(self) -> keras.layers.Layer:
        """Return a plain layer whose kernel holds the rounded numbers."""
        return _like(self.layer, self._weights(self.rounding))

    def unrounded(self) -> keras.layers.Layer:
        """Return a plain layer with the kernel that is trained."""
        return _like(self.layer, self._weights(keras.ops.convert_to_tensor))

    def _weights(self, rounding):
        """Return the kernel, rounded, and the bias, both times the gain."""
        kernel, *bias = self.layer.weights
        shape = kernel.shape[-2:] if self.depthwise else (-1,)
        by_channel = keras.ops.reshape(self.gain, shape)
        return [rounding(kernel) * by_channel, *(b * self.gain for b in bias)]


def _like(layer, weights):
    """Return a layer of the same configuration with other weights."""
    new = type(layer).from_config(layer.get_config())
    new.build(layer.get_build_config()["input_shape"])
    new.set_weights([keras.ops.convert_to_numpy(weight) for weight in weights])
    return new
