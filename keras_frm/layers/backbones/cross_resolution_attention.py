"""Attention from a fine map to the pooled positions of a coarse one."""

import keras
from keras import ops

from keras_frm.layers.blocks.adaptive_pooling import adaptive_max_pool
from keras_frm.layers.blocks.normalization import batch_norm, linear_initializer
from keras_frm.layers.blocks.precise_softmax import precise_softmax
from keras_frm.layers.composite import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_frm")
class CrossResolutionAttention(CompositeLayer):
    """Let each position of a fine map mix values of a coarse map's context.

    The coarse map is max-pooled to `grid` x `grid` positions, of which a 1x1
    convolution makes keys and values; the fine map, normalised, is the query as it is.

    Args:
        grid: Rows and columns of the pooled map.
        momentum: Weight of the old average in the BatchNorms' statistics.

    Input: fine (B, H, W, C) and coarse (B, h, w, D). Output: (B, H, W, C). The weights
    are H W `grid`^2 numbers per image.

    Source: Wang et al., RTFormer, 2022 (arXiv 2210.07124), section 3.2, equation 4;
    its code in PaddleSeg divides by the root of the number of keys.

    Example:
    >>> fine, coarse = keras.ops.ones((1, 9, 16, 8)), keras.ops.ones((1, 3, 4, 12))
    >>> tuple(CrossResolutionAttention(grid=2)(fine, coarse).shape)
    (1, 9, 16, 8)
    """

    def __init__(self, grid: int = 12, momentum: float = 0.9, **kwargs):
        super().__init__(**kwargs)
        self.grid = grid
        self.momentum = momentum
        dtype = self.dtype_policy
        self.norm = batch_norm("norm", dtype, momentum=momentum)
        self.coarse_norm = batch_norm("coarse_norm", dtype, momentum=momentum)

    def build(self, fine_shape, coarse_shape):
        # One layer for both, as the official weights are.
        self.key_value = keras.layers.Conv2D(
            2 * fine_shape[-1],
            1,
            use_bias=False,
            kernel_initializer=linear_initializer(),
            name="key_value",
            dtype=self.dtype_policy,
        )
        self.norm.build(fine_shape)
        self.coarse_norm.build(coarse_shape)
        self.key_value.build((coarse_shape[0], self.grid, self.grid, coarse_shape[-1]))
        self.built = True

    def call(self, fine, coarse, training=False):
        _, height, width, channels = ops.shape(fine)
        pooled = adaptive_max_pool(
            self.coarse_norm(coarse, training=training), self.grid
        )  # (B, grid, grid, D)
        both = self.key_value(pooled)  # (B, grid, grid, 2 C)
        keys = self.grid**2
        key = ops.reshape(both[..., :channels], (-1, keys, channels))
        value = ops.reshape(both[..., channels:], (-1, keys, channels))

        # Scaled before the product, which could overflow in float16.
        query = self.norm(fine, training=training) * keys**-0.5
        query = ops.reshape(query, (-1, height * width, channels))  # (B, N, C)
        similarity = ops.matmul(query, ops.transpose(key, (0, 2, 1)))  # (B, N, keys)
        context = ops.matmul(precise_softmax(similarity), value)  # (B, N, C)
        return ops.reshape(context, (-1, height, width, channels))  # (B, H, W, C)

    def compute_output_shape(self, fine_shape, coarse_shape):
        return fine_shape

    def attention_multiply_adds(self, output_shape: tuple) -> int:
        """Return the multiply-adds of the two products for one image.

        Args:
            output_shape: (B, H, W, C) of known size.
        """
        _, height, width, channels = output_shape
        return 2 * height * width * self.grid**2 * channels

    def get_config(self):
        return {**super().get_config(), "grid": self.grid, "momentum": self.momentum}
