"""A layer that computes with its kernel rounded to integers."""

import keras

from keras_frm.layers.tfmot_quantizer import KernelQuant


@keras.saving.register_keras_serializable(package="keras_frm")
class QuantizedKernel(keras.layers.Wrapper):
    """Run a convolution or a Dense layer with an int8 kernel, and train the float one.

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
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        self.rounding = KernelQuant(depthwise=depthwise, name="rounding")

    def build(self, input_shape=None):
        super().build(input_shape)
        self.rounding.build(self.layer.kernel.shape)

    def call(self, x):
        kernel = self.layer.kernel
        # Within the scope, whatever the layer does reads the rounded kernel.
        with keras.StatelessScope([(kernel, self.rounding(kernel))]):
            return self.layer.call(x)

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def rounded(self) -> keras.layers.Layer:
        """Return a plain layer whose kernel holds the rounded numbers."""
        new = type(self.layer).from_config(self.layer.get_config())
        new.build(self.layer.get_build_config()["input_shape"])
        kernel, *bias = self.layer.get_weights()
        new.set_weights([keras.ops.convert_to_numpy(self.rounding(kernel)), *bias])
        return new
