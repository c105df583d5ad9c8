"""How several networks begin: the normalised image, and first stages down to 1/8."""

import keras
from keras import ops

from keras_frm.backend import require_channels_last
from keras_frm.layers import ConvBlock, ResidualStage
from keras_frm.networks.backbone import imagenet_normalization


def normalized_image(
    input_shape: tuple[int | None, int | None, int], dtype
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Return a network's image, and the image by ImageNet's mean and deviation.

    Args:
        input_shape: Height, width and 3; None where unknown.
        dtype: Dtype policy.

    Returns:
        The input, RGB in [0, 255], and what the network computes from: (B, H, W, 3).

    Example:
    >>> image, x = normalized_image((None, None, 3), None)
    >>> image.name, x.shape
    ('image', (None, None, None, 3))
    """
    require_channels_last()
    image = keras.Input(input_shape, name="image")  # (B, H, W, 3)
    return image, imagenet_normalization(dtype=dtype)(image)


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
