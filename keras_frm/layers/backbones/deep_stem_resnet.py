"""ResNet with a stem of three convolutions, the backbone."""

from collections.abc import Sequence

import keras

from keras_frm.layers.blocks.conv_block import ConvBlock
from keras_frm.layers.blocks.residual import ResidualStage
from keras_frm.layers.composite import CompositeLayer


@keras.saving.register_keras_serializable(package="keras_frm")
class DeepStemResNet(CompositeLayer):
    """ResNet of blocks of two 3x3 convolutions, without its classifier.

    Three 3x3 convolutions and a max pool in the place of ResNet's 7x7. The defaults are
    ResNet-18; dilation widens what a block sees and leaves the strides as they are.

    Args:
        widths: Channels of the four stages.
        depths: Blocks in each stage.
        stem_widths: Channels of the stem's three convolutions.
        dilation_rates: Distance of the taps of each block's last convolution, by stage.

    Input: (B, H, W, C) floating point. Output: a list of the four stages' features,
    at strides 4, 8, 16 and 32 (sizes round up).

    Source: He et al., Deep Residual Learning, 2015 (arXiv 1512.03385), table 1; the
    stem and the dilation of SFSegNets' `resnet-18-deep`, variant "D".

    Example:
    >>> backbone = DeepStemResNet(widths=(4, 6, 8, 8), stem_widths=(4, 4, 8))
    >>> [tuple(f.shape[1:]) for f in backbone(keras.ops.ones((1, 45, 64, 3)))][3]
    (2, 2, 8)
    """

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 512),
        depths: Sequence[int] = (2, 2, 2, 2),
        stem_widths: Sequence[int] = (64, 64, 128),
        dilation_rates: Sequence[int] = (1, 1, 2, 4),
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not len(widths) == len(depths) == len(dilation_rates) == 4:
            raise ValueError(
                "ResNet has four stages; give four `widths`, `depths` and "
                f"`dilation_rates`. Received: {widths}, {depths}, {dilation_rates}"
            )
        self.widths = tuple(widths)
        self.depths = tuple(depths)
        self.stem_widths = tuple(stem_widths)
        self.dilation_rates = tuple(dilation_rates)
        dtype = self.dtype_policy
        self.stem = [
            ConvBlock(
                width,
                3,
                strides=2 if index == 1 else 1,
                name=f"stem_{index}",
                dtype=dtype,
            )
            for index, width in enumerate(self.stem_widths, 1)
        ]
        # After a ReLU, zeros beside the image are as good as the minus infinity of the
        # original, and int8 has them.
        self.pad = keras.layers.ZeroPadding2D(1, name="pad", dtype=dtype)
        self.pool = keras.layers.MaxPooling2D(3, 2, name="pool", dtype=dtype)
        self.stages = [
            ResidualStage(
                self.widths[index],
                self.depths[index],
                strides=1 if index == 0 else 2,
                dilation_rate=self.dilation_rates[index],
                name=f"stage_{index + 1}",
                dtype=dtype,
            )
            for index in range(4)
        ]

    def build(self, input_shape):
        for block in self.stem:
            block.build(input_shape)
            input_shape = block.compute_output_shape(input_shape)
        self.pad.build(input_shape)
        input_shape = self.pad.compute_output_shape(input_shape)
        self.pool.build(input_shape)
        input_shape = self.pool.compute_output_shape(input_shape)
        for stage in self.stages:
            stage.build(input_shape)
            input_shape = stage.compute_output_shape(input_shape)
        self.built = True

    def call(self, x, training=False):
        for block in self.stem:
            x = block(x, training=training)  # (B, H / 2, W / 2, stem width)
        x = self.pool(self.pad(x))  # (B, H / 4, W / 4, stem width)
        features = []
        for stage in self.stages:
            x = stage(x, training=training)  # half the size, but for the first
            features.append(x)
        return features

    def compute_output_shape(self, input_shape):
        for block in self.stem:
            input_shape = block.compute_output_shape(input_shape)
        for layer in (self.pad, self.pool):
            input_shape = layer.compute_output_shape(input_shape)
        shapes = []
        for stage in self.stages:
            input_shape = stage.compute_output_shape(input_shape)
            shapes.append(input_shape)
        return shapes

    def get_config(self):
        return {
            **super().get_config(),
            "widths": self.widths,
            "depths": self.depths,
            "stem_widths": self.stem_widths,
            "dilation_rates": self.dilation_rates,
        }
