"""DFNet, the backbone that partial order pruning found."""

from collections.abc import Sequence

import keras

from keras_frm.layers.blocks.conv_block import ConvBlock
from keras_frm.layers.blocks.residual import ResidualStage
from keras_frm.layers.composite import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_frm")
class DFNet(CompositeLayer):
    """Residual blocks of two 3x3 convolutions that widen at the end of each stage.

    Two strided convolutions lead to 1/4. Each of three stages halves the size in blocks
    as wide as those before, and goes on in wider ones. The defaults are DFNet2.

    Args:
        widths: Channels at strides 4, 8, 16 and 32; the first convolution has half of
            the first.
        depths: For each stage its blocks before it widens, and after.

    Input: (B, H, W, C) floating point. Output: a list of four features, of the two
    convolutions and of the three stages, at strides 4, 8, 16 and 32 (sizes round up).

    Raises:
        ValueError: There are not four widths, or not three depths.

    Source: Li et al., Partial Order Pruning: for Best Speed/Accuracy Trade-off in
    Neural Architecture Search, 2019 (arXiv 1903.03777).

    Example:
    >>> backbone = DFNet(widths=(4, 6, 8, 8), depths=((1, 1), (2, 1), (1, 1)))
    >>> [tuple(f.shape[1:]) for f in backbone(keras.ops.ones((1, 45, 64, 3)))][3]
    (2, 2, 8)
    """

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 512),
        depths: Sequence[Sequence[int]] = ((2, 1), (10, 1), (4, 2)),
        **kwargs,
    ):
        super().__init__(**kwargs)
        if (len(widths), len(depths)) != (4, 3):
            raise ValueError(
                "DFNet has three stages after its first convolutions; give four "
                f"`widths` and three `depths`. Received: {widths}, {depths}"
            )
        self.widths = tuple(widths)
        self.depths = tuple(tuple(pair) for pair in depths)
        dtype = self.dtype_policy
        self.stem = [
            ConvBlock(width, 3, strides=2, name=f"stem_{index}", dtype=dtype)
            for index, width in enumerate((widths[0] // 2, widths[0]), 1)
        ]
        # One flat list: Keras does not save layers of nested lists.
        self.stages = [
            ResidualStage(
                self.widths[stage + part],
                self.depths[stage][part],
                strides=1 if part else 2,
                name=f"stage_{stage + 1}_{part + 1}",
                dtype=dtype,
            )
            for stage in range(3)
            for part in range(2)
        ]

    def build(self, input_shape):
        for layer in (*self.stem, *self.stages):
            layer.build(input_shape)
            input_shape = layer.compute_output_shape(input_shape)
        self.built = True

    def call(self, x, training=False):
        for block in self.stem:
            x = block(x, training=training)
        features = [x]  # (B, H / 4, W / 4, widths[0])
        for narrow, wide in zip(self.stages[::2], self.stages[1::2], strict=True):
            x = narrow(x, training=training)  # half the size
            x = wide(x, training=training)  # more channels
            features.append(x)
        return features

    def compute_output_shape(self, input_shape):
        for block in self.stem:
            input_shape = block.compute_output_shape(input_shape)
        shapes = [input_shape]
        for narrow, wide in zip(self.stages[::2], self.stages[1::2], strict=True):
            input_shape = narrow.compute_output_shape(input_shape)
            input_shape = wide.compute_output_shape(input_shape)
            shapes.append(input_shape)
        return shapes

    def get_config(self):
        return {
            **super().get_config(),
            "widths": self.widths,
            "depths": self.depths,
        }
