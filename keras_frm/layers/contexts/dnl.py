"""The disentangled non-local block."""

import keras
from keras import ops

from keras_frm.layers.blocks.casting import cast
from keras_frm.layers.composite import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_frm")
class DisentangledNonLocal(CompositeLayer):
    """Context of every position: whitened pairwise attention plus a unary one.

    y_i = sum_j (softmax_j((q_i - mean q) . (k_j - mean k)) + softmax_j(m_j)) g_j

    q, k, m and g are 1x1 convolutions without bias, to C / `reduction`, the same, 1
    and C channels. The unary weights do not depend on i, so their sum is computed
    once for an image. Similarities and softmaxes are taken in float32 at least: the
    products of q and k overflow in float16.

    Args:
        reduction: Input channels per channel of q and k.

    Input and output: (B, H, W, C). The attention map holds (H W)^2 numbers per image.

    Source: the FRM paper, eq. 2-3; Yin et al., Disentangled Non-Local Neural
    Networks, 2020.

    Example:
    >>> tuple(DisentangledNonLocal()(keras.ops.ones((1, 3, 5, 8))).shape)
    (1, 3, 5, 8)
    """

    def __init__(self, reduction: int = 4, **kwargs):
        super().__init__(**kwargs)
        self.reduction = reduction

    def build(self, input_shape):
        channels = input_shape[-1]
        if channels % self.reduction:
            raise ValueError(
                f"The number of channels must be a multiple of reduction="
                f"{self.reduction}. Received: {channels}"
            )
        self.query = self._projection(channels // self.reduction, "query")
        self.key = self._projection(channels // self.reduction, "key")
        self.mask = self._projection(1, "mask")
        self.value = self._projection(channels, "value")
        for layer in (self.query, self.key, self.mask, self.value):
            layer.build(input_shape)
        self.built = True

    def _projection(self, filters, name):
        """Return a 1x1 convolution without bias, initialised as the official block."""
        return keras.layers.Conv2D(
            filters,
            1,
            use_bias=False,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            name=name,
            dtype=self.dtype_policy,
        )

    def call(self, x):
        query = _flatten(_whiten(self.query(x)))  # (B, N, C / reduction)
        key = _flatten(_whiten(self.key(x)))  # (B, N, C / reduction)
        mask = _flatten(self.mask(x))  # (B, N, 1)
        value = _flatten(self.value(x))  # (B, N, C)

        dtype = keras.backend.standardize_dtype(value.dtype)
        precise = keras.backend.result_type(dtype, "float32")
        query, key, mask = (cast(y, precise) for y in (query, key, mask))
        similarity = ops.matmul(query, ops.transpose(key, (0, 2, 1)))  # (B, N, N)
        attention = cast(ops.softmax(similarity, axis=2), dtype)  # (B, N, N)
        unary = cast(ops.softmax(mask, axis=1), dtype)  # (B, N, 1)
        unary = ops.transpose(unary, (0, 2, 1))  # (B, 1, N)
        context = ops.matmul(attention, value) + ops.matmul(unary, value)  # (B, N, C)

        _, height, width, channels = ops.shape(x)
        return ops.reshape(context, (-1, height, width, channels))  # (B, H, W, C)

    def compute_output_shape(self, input_shape):
        return input_shape

    def attention_multiply_adds(self, output_shape: tuple) -> int:
        """Return the multiply-adds of the two products for one image.

        Args:
            output_shape: (B, H, W, C) of known size.
        """
        _, height, width, channels = output_shape
        return (height * width) ** 2 * (channels // self.reduction + channels)

    def get_config(self):
        return {**super().get_config(), "reduction": self.reduction}


def _whiten(x):
    """Subtract each channel's mean over the positions of the image."""
    return x - ops.mean(x, axis=(1, 2), keepdims=True)


def _flatten(x):
    """Merge height and width: (B, H, W, C) -> (B, N, C)."""
    _, height, width, channels = ops.shape(x)
    return ops.reshape(x, (-1, height * width, channels))
