"""Attention from every position to the windows of a coarser map."""

import keras
from keras import ops

from keras_frm.layers.blocks.normalization import conv_initializer, linear_initializer
from keras_frm.layers.blocks.precise_softmax import precise_softmax
from keras_frm.layers.composite import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_frm")
class SpatialReductionAttention(CompositeLayer):
    """Self-attention of several heads, whose keys and values are of a smaller map.

    A convolution makes one position of each window of `reduction` x `reduction`, so
    that N positions compare with M = N / `reduction`^2. Windows that do not fit into
    the map are left out, as in the original; a map smaller than one window gets zeros
    below and to the right. Softmaxes are taken in float32 at least.

    Args:
        heads: Parts of the channels, each with weights of its own.
        reduction: Height and width of a window; 1 compares all positions.

    Input and output: (B, H, W, C). The weights are `heads` N M numbers per image.

    Source: Wang et al., Pyramid Vision Transformer, 2021 (arXiv 2102.12122), section
    3.3, as SegFormer has it.

    Example:
    >>> layer = SpatialReductionAttention(heads=2, reduction=2)
    >>> tuple(layer(keras.ops.ones((1, 5, 7, 8))).shape)
    (1, 5, 7, 8)
    """

    def __init__(self, heads: int, reduction: int = 1, **kwargs):
        super().__init__(**kwargs)
        self.heads = heads
        self.reduction = reduction

    def build(self, input_shape):
        channels = input_shape[-1]
        if channels % self.heads:
            raise ValueError(
                f"The number of channels must be a multiple of heads={self.heads}. "
                f"Received: {channels}"
            )
        self.query = self._linear(channels, "query")
        # One layer for both, as the official weights are.
        self.key_value = self._linear(2 * channels, "key_value")
        self.project = self._linear(channels, "project")
        layers = [self.query, self.key_value, self.project]
        if self.reduction > 1:
            self.reduce = keras.layers.Conv2D(
                channels,
                self.reduction,
                strides=self.reduction,
                kernel_initializer=conv_initializer(),
                name="reduce",
                dtype=self.dtype_policy,
            )
            self.norm = keras.layers.LayerNormalization(
                epsilon=1e-5, name="norm", dtype=self.dtype_policy
            )
            layers += [self.reduce, self.norm]
        for layer in layers:
            # Of no size: a map may be smaller than a window, see `_padded_to`.
            layer.build((None, None, None, channels))
        self.built = True

    def _linear(self, filters, name):
        """Return a linear layer as a 1x1 convolution, which every file format has."""
        return keras.layers.Conv2D(
            filters,
            1,
            kernel_initializer=linear_initializer(),
            name=name,
            dtype=self.dtype_policy,
        )

    def call(self, x):
        _, height, width, channels = ops.shape(x)
        depth = channels // self.heads
        # Scaled before the product, which could overflow in float16.
        query = self._split(self.query(x) * depth**-0.5)  # (B, N, heads, depth)
        query = ops.transpose(query, (0, 2, 1, 3))  # (B, heads, N, depth)
        both = self.key_value(self._reduced(x))  # (B, h, w, 2 C)
        key = self._split(both[..., :channels])  # (B, M, heads, depth)
        key = ops.transpose(key, (0, 2, 3, 1))  # (B, heads, depth, M)
        value = self._split(both[..., channels:])  # (B, M, heads, depth)
        value = ops.transpose(value, (0, 2, 1, 3))  # (B, heads, M, depth)

        similarity = ops.matmul(query, key)  # (B, heads, N, M)
        context = ops.matmul(precise_softmax(similarity), value)  # (B, heads, N, depth)
        context = ops.transpose(context, (0, 2, 1, 3))  # (B, N, heads, depth)
        context = ops.reshape(context, (-1, height, width, channels))  # (B, H, W, C)
        return self.project(context)

    def _reduced(self, x):
        """Return what keys and values are made of."""
        if self.reduction == 1:
            return x
        # (B, H, W, C) -> (B, H / reduction, W / reduction, C), rounded down
        return self.norm(self.reduce(_padded_to(x, self.reduction)))

    def _split(self, x):
        """Merge height and width, and split the channels into those of each head."""
        _, height, width, channels = ops.shape(x)
        shape = (-1, height * width, self.heads, channels // self.heads)
        return ops.reshape(x, shape)  # (B, N, heads, depth)

    def compute_output_shape(self, input_shape):
        return input_shape

    def attention_multiply_adds(self, output_shape: tuple) -> int:
        """Return the multiply-adds of the two products for one image.

        Args:
            output_shape: (B, H, W, C) of known size.
        """
        _, height, width, channels = output_shape
        rows, columns = (max(side // self.reduction, 1) for side in (height, width))
        return 2 * height * width * rows * columns * channels

    def get_config(self):
        return {
            **super().get_config(),
            "heads": self.heads,
            "reduction": self.reduction,
        }


def _padded_to(x, least):
    """Add zeros below and to the right of a map smaller than `least` on a side."""
    sides = ops.shape(x)[1:3]
    if all(isinstance(side, int) and side >= least for side in sides):
        return x
    rows, columns = (
        max(least - side, 0) if isinstance(side, int) else ops.maximum(least - side, 0)
        for side in sides
    )
    # (B, H, W, C) -> (B, max(H, least), max(W, least), C)
    return ops.pad(x, [[0, 0], [0, rows], [0, columns], [0, 0]])
