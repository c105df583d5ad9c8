"""Channels as blocks of pixels: a convolution's result at a larger size."""

import keras
from keras import ops

from keras_frm.backend import is_tensorflow


@keras.saving.register_keras_serializable(package="keras_frm")
class DepthToSpace(keras.layers.Layer):
    """Make of each position's channels a block of pixels.

    A block's channels are in the order (row, column, channel), as TFLite has them;
    PyTorch's `PixelShuffle` takes (channel, row, column). A graph has the layer whole.

    Args:
        block: Height and width of a block.

    Input: (B, H, W, block * block * C). Output: (B, block * H, block * W, C).

    Source: Shi et al., Real-Time Single Image and Video Super-Resolution Using an
    Efficient Sub-Pixel Convolutional Neural Network, 2016, eq. 4.

    Example:
    >>> x = keras.ops.reshape(keras.ops.arange(4), (1, 1, 1, 4))
    >>> DepthToSpace(2)(x)[0, :, :, 0].numpy().tolist()
    [[0, 1], [2, 3]]
    """

    def __init__(self, block: int, **kwargs):
        super().__init__(**kwargs)
        self.block = block

    def build(self, input_shape):
        self.built = True

    def call(self, x):
        if is_tensorflow():
            from keras_frm.backend.tensorflow.depth_to_space import depth_to_space

            return depth_to_space(x, self.block)
        block, (batch, height, width, channels) = self.block, ops.shape(x)
        x = ops.reshape(x, (batch, height, width, block, block, channels // block**2))
        x = ops.transpose(x, (0, 1, 3, 2, 4, 5))  # (B, H, block, W, block, C)
        return ops.reshape(x, (batch, block * height, block * width, -1))

    def compute_output_shape(self, input_shape):
        batch, *sides, channels = input_shape
        sides = (side and self.block * side for side in sides)
        return (batch, *sides, channels // self.block**2)

    def compute_output_spec(self, x):
        # Of integers too, which Keras would take for the layer's own dtype.
        return keras.KerasTensor(self.compute_output_shape(x.shape), dtype=x.dtype)

    def get_config(self):
        return {**super().get_config(), "block": self.block}
