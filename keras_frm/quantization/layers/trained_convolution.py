"""A convolution whose weights train at the size of fresh ones."""

import keras
import numpy as np
from keras import ops

from keras_frm.graph.layer_like import layer_like
from keras_frm.quantization.layers.kernel_fake_quant import KernelFakeQuant


class TrainedConvolution(keras.layers.Wrapper):
    """Hold a convolution or a Dense layer whose kernel is rounded channel by channel.

    The trained kernel has the size of a fresh one (He et al., 2015), and the constant
    `gain` of each output channel brings it back. Folding puts normalisations and layer
    scales into kernels, which can leave them a hundred times smaller: at the network's
    own learning rates, the first steps would overwrite them.

    Args:
        layer: A `Conv2D`, `Conv1D`, `DepthwiseConv2D` or `Dense`.
    """

    def __init__(self, layer: keras.layers.Layer, **kwargs):
        super().__init__(layer, **kwargs)
        self.depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        self.fake_quant = KernelFakeQuant(depthwise=self.depthwise, name="fake_quant")

    @classmethod
    def of(cls, layer: keras.layers.Layer) -> "TrainedConvolution":
        """Return a layer for training on from a built one, which it copies.

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

    def build(self, x_shape, *scale_shapes):
        super().build(x_shape)
        *_, inputs, outputs = shape = self.layer.kernel.shape
        self.fake_quant.build(shape)
        self.gain = self.add_weight(
            shape=(inputs * outputs if self.depthwise else outputs,),
            initializer="ones",
            trainable=False,
            dtype="float32",
            autocast=False,
            name="gain",
        )

    def with_weights(self, x, weights: list):
        """Return what the layer makes of an input with other weights.

        Args:
            x: The layer's input.
            weights: Kernel and, where the layer has one, bias.
        """
        pairs = list(zip(self.layer.weights, weights, strict=True))
        # Within the scope, whatever the layer does reads these weights.
        with keras.StatelessScope(pairs):
            return self.layer.call(x)

    def float_layer(self) -> keras.layers.Layer:
        """Return a plain layer with the weights that are trained."""
        kernel, *bias = self.layer.weights
        gain = self.by_kernel(self.gain)
        return layer_like(self.layer, [kernel * gain, *(b * self.gain for b in bias)])

    def by_kernel(self, channels):
        """Return (C_out,) numbers in the shape of the kernel's last axes."""
        if not self.depthwise:
            return channels
        *_, inputs, outputs = self.layer.kernel.shape
        return ops.reshape(channels, (inputs, outputs))
