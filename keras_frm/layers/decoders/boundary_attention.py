"""Boundary-attention-guided fusion: detail at boundaries, context inside of areas."""

import keras
from keras import ops

from keras_frm.layers.blocks.conv_block import ConvBlock
from keras_frm.layers.composite import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_frm")
class BoundaryAttentionFusion(CompositeLayer):
    """Blend detail and context by the boundary's sigmoid, then convolve.

    Args:
        filters: Output channels.

    Input: detail, context and boundary features (B, H, W, C).
    Output: (B, H, W, filters).

    Source: Xu et al., PIDNet, 2023 (arXiv 2206.02066); `Bag` of its code.

    Example:
    >>> features = [keras.ops.ones((1, 5, 7, 4))] * 3
    >>> tuple(BoundaryAttentionFusion(6)(*features).shape)
    (1, 5, 7, 6)
    """

    def __init__(self, filters: int, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.conv = ConvBlock(
            filters, 3, preactivation=True, name="conv", dtype=self.dtype_policy
        )

    def build(self, detail_shape, context_shape, boundary_shape):
        self.conv.build(detail_shape)
        self.built = True

    def call(self, detail, context, boundary, training=False):
        share = ops.sigmoid(boundary)  # (B, H, W, C)
        blended = context + share * (detail - context)
        return self.conv(blended, training=training)  # (B, H, W, filters)

    def compute_output_shape(self, detail_shape, context_shape, boundary_shape):
        return (*detail_shape[:-1], self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable(package="keras_frm")
class LightBoundaryAttentionFusion(CompositeLayer):
    """Add detail and context, each with its share of the other, after 1x1 convolutions.

    The boundary's sigmoid s gives the detail the share 1 - s of the context, and the
    context the share s of the detail.

    Args:
        filters: Output channels.

    Input: detail, context and boundary features (B, H, W, C).
    Output: (B, H, W, filters).

    Source: Xu et al., PIDNet, 2023 (arXiv 2206.02066); `Light_Bag` of its code.

    Example:
    >>> features = [keras.ops.ones((1, 5, 7, 4))] * 3
    >>> tuple(LightBoundaryAttentionFusion(6)(*features).shape)
    (1, 5, 7, 6)
    """

    def __init__(self, filters: int, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.detail_conv, self.context_conv = (
            ConvBlock(filters, activation=None, name=name, dtype=self.dtype_policy)
            for name in ("detail_conv", "context_conv")
        )

    def build(self, detail_shape, context_shape, boundary_shape):
        self.detail_conv.build(detail_shape)
        self.context_conv.build(context_shape)
        self.built = True

    def call(self, detail, context, boundary, training=False):
        share = ops.sigmoid(boundary)  # (B, H, W, C)
        # detail + (1 - share) * context, without a number among the tensors.
        guided_detail = detail + (context - share * context)
        guided_context = context + share * detail
        detail = self.detail_conv(guided_detail, training=training)
        context = self.context_conv(guided_context, training=training)
        return detail + context  # (B, H, W, filters)

    def compute_output_shape(self, detail_shape, context_shape, boundary_shape):
        return (*detail_shape[:-1], self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}
