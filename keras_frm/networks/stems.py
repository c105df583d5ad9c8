"""First stages of several networks, down to 1/8."""

import keras
from keras import ops

from keras_frm.layers import ConvBlock, ResidualStage


def residual_stem(
    x: keras.KerasTensor, width: int, depths: tuple[int, int], dtype
) -> keras.KerasTensor:
    """Add two strided convolutions and two stages, of which the second has a stride.

    The layers are "stem_1", "stem_2", "stage_1" and "stage_2".

    Args:
        x: The normalised image (B, H, W, 3).
        width: Channels of the first stage; the second has twice as many.
        depths: Blocks of the stages.
        dtype: Dtype policy.

    Returns:
        (B, H / 8, W / 8, 2 width), without the ReLU of the last block.

    Source: `conv1`, `layer1` and `layer2` of DDRNet and PIDNet.

    Example:
    >>> residual_stem(keras.Input((64, 96, 3)), 4, (1, 1), None).shape
    (None, 8, 12, 8)
    """
    for index in (1, 2):
        x = ConvBlock(
            width, 3, use_bias=True, strides=2, name=f"stem_{index}", dtype=dtype
        )(x)  # (B, H / 4, W / 4, width)
    x = ResidualStage(width, depths[0], activation=None, name="stage_1", dtype=dtype)(x)
    return ResidualStage(
        2 * width, depths[1], 2, activation=None, name="stage_2", dtype=dtype
    )(ops.relu(x))  # (B, H / 8, W / 8, 2 width)
