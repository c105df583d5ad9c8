"""The decoder of linear layers alone."""

import keras
from keras import ops

from keras_frm.layers.blocks.conv_block import ConvBlock
from keras_frm.layers.blocks.normalization import linear_initializer
from keras_frm.layers.blocks.resizing import resize_like
from keras_frm.layers.composite import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_frm")
class AllMLPDecoder(CompositeLayer):
    """Bring all stages to one width and to the finest one's size, and merge them.

    A linear layer on each stage, bilinear resizing, and a 1x1 convolution with
    BatchNorm and ReLU on all of them side by side, the coarsest first. It sees as far
    as the backbone does, so it needs a backbone with attention.

    Args:
        filters: Channels of every level and of the output.

    Input: a list of features, finest first. Output: (B, H, W, filters) at the size of
    the finest.

    Source: Xie et al., SegFormer, 2021 (arXiv 2105.15203), section 3.2;
    NVlabs/SegFormer, `SegFormerHead`.

    Example:
    >>> sizes = ((9, 13, 2), (5, 7, 3), (3, 4, 5), (2, 2, 4))
    >>> tuple(AllMLPDecoder(6)([keras.ops.ones((1, *size)) for size in sizes]).shape)
    (1, 9, 13, 6)
    """

    def __init__(self, filters: int = 256, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.fuse = ConvBlock(filters, name="fuse", dtype=self.dtype_policy)

    def build(self, input_shapes):
        self.projections = [
            keras.layers.Conv2D(
                self.filters,
                1,
                kernel_initializer=linear_initializer(),
                name=f"projection_{stage}",
                dtype=self.dtype_policy,
            )
            for stage in range(1, len(input_shapes) + 1)
        ]
        for projection, shape in zip(self.projections, input_shapes, strict=True):
            projection.build(shape)
        merged = len(input_shapes) * self.filters
        self.fuse.build((*input_shapes[0][:-1], merged))
        self.built = True

    def call(self, features, training=False):
        finest, *coarser = (
            projection(x)  # (B, h, w, filters)
            for projection, x in zip(self.projections, features, strict=True)
        )
        levels = [finest, *(resize_like(x, finest) for x in coarser)]
        merged = ops.concatenate(levels[::-1], axis=-1)  # (B, H, W, levels filters)
        return self.fuse(merged, training=training)  # (B, H, W, filters)

    def compute_output_shape(self, input_shapes):
        return (*input_shapes[0][:-1], self.filters)

    def get_config(self):
        return {**super().get_config(), "filters": self.filters}
