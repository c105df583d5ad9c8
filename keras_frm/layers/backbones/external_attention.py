"""Attention to keys that are weights of the layer, and not of the image."""

import keras
from keras import ops

from keras_frm.layers.blocks.casting import cast
from keras_frm.layers.blocks.normalization import batch_norm
from keras_frm.layers.composite import CompositeLayer

# Added to the sum of a position's weights.
_EPSILON = 1e-6


@keras.saving.register_keras_serializable(package="keras_frm")
class ExternalAttention(CompositeLayer):
    """GPU-friendly attention: learned keys and values, normalised in groups.

    There is no query and no split into heads before the products, so that both are
    plain 1x1 convolutions after a BatchNorm: one compares each position with all keys,
    one mixes the values. The weights between are a softmax over the positions, divided
    by their sum over the keys of a head; both are taken in float32 at least.

    Args:
        filters: Number of keys, of values and of output channels.
        heads: Parts of the keys in which weights are normalised.
        strides: Stride of the first convolution.
        momentum: Weight of the old average in the BatchNorm's statistics.

    Input: (B, H, W, C). Output: (B, ceil(H / strides), ceil(W / strides), filters).
    Time and memory grow with the number of positions, not with its square.

    Source: Wang et al., RTFormer, 2022 (arXiv 2210.07124), section 3.1, equation 3;
    Guo et al., Beyond Self-attention, 2021 (arXiv 2105.02358), for the two norms.

    Example:
    >>> layer = ExternalAttention(16, heads=4, strides=2)
    >>> tuple(layer(keras.ops.ones((1, 5, 8, 4))).shape)
    (1, 3, 4, 16)
    """

    def __init__(
        self,
        filters: int,
        heads: int = 8,
        strides: int = 1,
        momentum: float = 0.9,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if filters % heads:
            raise ValueError(
                f"`filters` must be a multiple of heads={heads}. Received: {filters}"
            )
        self.filters = filters
        self.heads = heads
        self.strides = strides
        self.momentum = momentum
        self.norm = batch_norm("norm", self.dtype_policy, momentum=momentum)
        self.key = self._products("key", strides)
        self.value = self._products("value", 1)

    def _products(self, name, strides):
        """Return the products with learned keys or values, as a 1x1 convolution."""
        return keras.layers.Conv2D(
            self.filters,
            1,
            strides=strides,
            padding="same",
            use_bias=False,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.001),
            name=name,
            dtype=self.dtype_policy,
        )

    def build(self, input_shape):
        self.norm.build(input_shape)
        self.key.build(input_shape)
        self.value.build(self.compute_output_shape(input_shape))
        self.built = True

    def call(self, x, training=False):
        similarity = self.key(self.norm(x, training=training))  # (B, H', W', filters)
        return self.value(_normalized_twice(similarity, self.heads))

    def compute_output_shape(self, input_shape):
        return self.key.compute_output_shape(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "heads": self.heads,
            "strides": self.strides,
            "momentum": self.momentum,
        }


def _normalized_twice(x, heads):
    """Take a softmax over the positions, then shares of the keys of each head."""
    dtype = keras.backend.standardize_dtype(x.dtype)
    _, height, width, keys = ops.shape(x)
    positions = height * width
    # A weight is about 1 / positions, and the epsilon next to nothing in float16.
    x = cast(x, keras.backend.result_type(dtype, "float32"))
    x = ops.softmax(ops.reshape(x, (-1, positions, keys)), axis=1)  # (B, N, keys)
    x = ops.reshape(x, (-1, positions, heads, keys // heads))
    x = x / (ops.sum(x, axis=-1, keepdims=True) + _EPSILON)
    return cast(ops.reshape(x, (-1, height, width, keys)), dtype)  # (B, H, W, keys)
