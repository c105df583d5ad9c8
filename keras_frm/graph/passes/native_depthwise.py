"""Dilated depthwise convolutions as the one operation TFLite has for them."""

import keras
import tensorflow as tf

from keras_frm.graph.graph import Graph, rebuild


def native_depthwise(model: keras.Model) -> keras.Model:
    """Make each dilated depthwise convolution one operation of the exported file.

    `tf.nn.depthwise_conv2d` runs dilation through SPACE_TO_BATCH_ND, which GPU
    delegates lack. The result is for conversion only: TensorFlow's gradient of the
    native operation is wrong under dilation.

    Args:
        model: A Functional model of primitive layers.

    Returns:
        A model of the same function.

    Example:
    >>> x = keras.Input((8, 8, 3))
    >>> dilated = keras.layers.DepthwiseConv2D(3, dilation_rate=2)
    >>> new = native_depthwise(keras.Model(x, dilated(x)))
    >>> [type(layer).__name__ for layer in new.layers]
    ['InputLayer', 'NativeDepthwiseConv2D']
    """
    replacements = {}
    for call in Graph(model).calls:
        layer = call.operation
        dilated = isinstance(layer, keras.layers.DepthwiseConv2D) and (
            max(layer.dilation_rate) > 1
        )
        if dilated:
            native = NativeDepthwiseConv2D.from_config(layer.get_config())
            native.build(layer.get_build_config()["input_shape"])
            native.set_weights(layer.get_weights())
            replacements[layer] = native
    return rebuild(model, replacements)


class NativeDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """A depthwise convolution that passes its dilation on to the operation."""

    def call(self, x):
        y = tf.raw_ops.DepthwiseConv2dNative(
            input=x,
            filter=self.kernel,
            strides=[1, *self.strides, 1],
            padding=self.padding.upper(),
            dilations=[1, *self.dilation_rate, 1],
        )
        if self.use_bias:
            y = y + self.bias
        return self.activation(y)
