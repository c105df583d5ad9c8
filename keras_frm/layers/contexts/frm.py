"""The feature refinement module."""

import keras

from keras_frm.layers.blocks.conv_block import ConvBlock
from keras_frm.layers.blocks.feed_forward import ConvFeedForward
from keras_frm.layers.composite import CompositeLayer
from keras_frm.layers.contexts.dnl import DisentangledNonLocal


@keras.saving.register_keras_serializable(package="keras_frm")
class FeatureRefinementModule(CompositeLayer):
    """A transformer block on the concatenated stages: non-local context, then an FFN.

    x = x + DNL(x), cut to `filters` channels, x = x + FFN(x). The paper draws the cut
    after the FFN; only with the cut before it (or an FFN that narrows) does the
    published parameter count come out.

    Args:
        filters: Output channels, the decoder's width.
        ffn_ratio: Hidden channels of the FFN per output channel.
        reduction: Input channels per channel of DNL's query and key.

    Input: (B, H, W, C), see `StageConcatenation`. Output: (B, H, W, filters).

    Source: Wang et al., A Feature Refinement Module for Light-weight Semantic
    Segmentation Network, 2024 (arXiv 2412.08670), section 2.2.

    Example:
    >>> tuple(FeatureRefinementModule(4)(keras.ops.ones((1, 3, 5, 16))).shape)
    (1, 3, 5, 4)
    """

    def __init__(
        self, filters: int = 128, ffn_ratio: int = 8, reduction: int = 4, **kwargs
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.ffn_ratio = ffn_ratio
        self.reduction = reduction
        dtype = self.dtype_policy
        self.context = DisentangledNonLocal(reduction, name="context", dtype=dtype)
        self.cut = ConvBlock(filters, activation=None, name="cut", dtype=dtype)
        self.feed_forward = ConvFeedForward(
            ffn_ratio, "relu", use_bias=False, name="feed_forward", dtype=dtype
        )

    def build(self, input_shape):
        self.context.build(input_shape)
        self.cut.build(input_shape)
        self.feed_forward.build(self.compute_output_shape(input_shape))
        self.built = True

    def call(self, x, training=False):
        x = x + self.context(x)
        x = self.cut(x, training=training)  # (B, H, W, filters)
        return x + self.feed_forward(x)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.filters)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "ffn_ratio": self.ffn_ratio,
            "reduction": self.reduction,
        }
