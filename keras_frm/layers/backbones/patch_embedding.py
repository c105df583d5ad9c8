"""What makes a stage's tokens of the map before it."""

import keras

from keras_frm.layers.blocks.normalization import batch_norm, conv_initializer
from keras_frm.layers.composite import CompositeLayer

_NORMALIZATIONS = ("batch", "layer")


@keras.saving.register_keras_serializable(package="keras_frm")
class OverlapPatchEmbedding(CompositeLayer):
    """Strided convolution with symmetric padding, then a normalisation.

    Keras' "same" padding is one-sided where the stride does not divide the size;
    PyTorch's weights need the same zeros on both sides.

    Args:
        filters: Output channels.
        kernel_size: Size of the square kernel, odd.
        strides: Stride of the convolution.
        normalization: "batch" (VAN) or "layer" (MiT), over the channels.

    Input: (B, H, W, C). Output: (B, ceil(H / strides), ceil(W / strides), filters).

    Example:
    >>> tuple(OverlapPatchEmbedding(8, 7, 4)(keras.ops.ones((1, 53, 75, 3))).shape)
    (1, 14, 19, 8)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int,
        normalization: str = "batch",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if normalization not in _NORMALIZATIONS:
            raise ValueError(
                f"`normalization` must be one of {_NORMALIZATIONS}. "
                f"Received: {normalization!r}"
            )
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.normalization = normalization
        self.pad = keras.layers.ZeroPadding2D(
            kernel_size // 2, name="pad", dtype=self.dtype_policy
        )
        self.conv = keras.layers.Conv2D(
            filters,
            kernel_size,
            strides=strides,
            kernel_initializer=conv_initializer(),
            name="conv",
            dtype=self.dtype_policy,
        )
        if normalization == "batch":
            self.norm = batch_norm("norm", self.dtype_policy)
        else:
            self.norm = keras.layers.LayerNormalization(
                epsilon=1e-5, name="norm", dtype=self.dtype_policy
            )

    def build(self, input_shape):
        self.pad.build(input_shape)
        self.conv.build(self.pad.compute_output_shape(input_shape))
        self.norm.build(self.compute_output_shape(input_shape))
        self.built = True

    def call(self, x, training=False):
        # (B, H, W, C) -> (B, H / strides, W / strides, filters)
        x = self.conv(self.pad(x))
        if self.normalization == "layer":
            return self.norm(x)
        return self.norm(x, training=training)

    def compute_output_shape(self, input_shape):
        padded = self.pad.compute_output_shape(input_shape)
        return self.conv.compute_output_shape(padded)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "normalization": self.normalization,
        }
