"""First stages of several networks, down to 1/8."""

import keras
from keras import ops

from keras_frm.layers import ConvBlock, ResidualStage


def residual_stem(
    x: keras.KerasTensor,
    width: int,
    depths: tuple[int, int],
    dtype,
    momentum: float = 0.9,
) -> keras.KerasTensor:
    """Add two strided convolutions and two stages, of which the second has a stride.

    The layers are "stem_1", "stem_2", "stage_1" and "stage_2".

    Args:
        x: The normalised image (B, H, W, 3).
        width: Channels of the first stage; the second has twice as many.
        depths: Blocks of the stages.
        dtype: Dtype policy.
        momentum: See `ConvBlock`.

    Returns:
        (B, H / 8, W / 8, 2 width), without the ReLU of the last block.

    Source: `conv1`, `layer1` and `layer2` of DDRNet, PIDNet and RTFormer.

    Example:
    >>> residual_stem(keras.Input((64, 96, 3)), 4, (1, 1), None).shape
    (None, 8, 12, 8)
    """
    shared = {"momentum": momentum, "dtype": dtype}
    for index in (1, 2):
        x = ConvBlock(
            width, 3, use_bias=True, strides=2, name=f"stem_{index}", **shared
        )(x)  # (B, H / 4, W / 4, width)
    x = ResidualStage(width, depths[0], activation=None, name="stage_1", **shared)(x)
    return ResidualStage(
        2 * width, depths[1], 2, activation=None, name="stage_2", **shared
    )(ops.relu(x))  # (B, H / 8, W / 8, 2 width)
