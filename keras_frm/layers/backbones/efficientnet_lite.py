"""EfficientNet-Lite, a backbone made for integers on devices."""

import math
from collections.abc import Iterator

import keras
from keras import ops

from keras_frm.backend import rematerialized
from keras_frm.layers.backbones.inverted_residual import NORM, InvertedResidual
from keras_frm.layers.blocks.normalization import batch_norm, conv_initializer
from keras_frm.layers.composite import CompositeLayer

# Name -> factors of the widths and of the depths of lite0.
EFFICIENTNET_LITE_VARIANTS = {
    "efficientnet_lite0": {"width": 1.0, "depth": 1.0},
    "efficientnet_lite1": {"width": 1.0, "depth": 1.1},
    "efficientnet_lite2": {"width": 1.1, "depth": 1.2},
}

_STEM_WIDTH = 32
# Repeats, kernel size, stride, expansion and width of lite0's groups of blocks.
_GROUPS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
# The groups whose results are the stages at 1/4, 1/8, 1/16 and 1/32.
_STAGE_ENDS = (1, 2, 4, 6)


@keras.saving.register_keras_serializable(package="keras_frm")
class EfficientNetLite(CompositeLayer):
    """EfficientNet-Lite without its head: no squeeze-and-excitation, ReLU6 all over.

    Args:
        width: Factor of the widths, which are rounded to multiples of 8; the stem
            keeps its own.
        depth: Factor of the numbers of blocks, rounded up; the first and the last group
            keep theirs.
        drop_path_rate: Drop path of the last block; it rises linearly from 0.
        rematerialize: See `VAN`.

    Input: (B, H, W, 3), RGB in [0, 255]; it is normalised inside. Output: a list of the
    four stages' features, at strides 4, 8, 16 and 32 (sizes round up).

    Source: Tan and Le, EfficientNet, 2019 (arXiv 1905.11946), and the code of
    EfficientNet-Lite in tensorflow/tpu.

    Example:
    >>> backbone = EfficientNetLite.from_variant("efficientnet_lite0")
    >>> [tuple(f.shape[1:]) for f in backbone(keras.ops.ones((1, 45, 64, 3)))][3]
    (2, 2, 320)
    """

    def __init__(
        self,
        width: float = 1.0,
        depth: float = 1.0,
        drop_path_rate: float = 0.1,
        rematerialize: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.width = width
        self.depth = depth
        self.drop_path_rate = drop_path_rate
        self.rematerialize = rematerialize
        dtype = self.dtype_policy
        self.normalization = keras.layers.Rescaling(
            1 / 128, offset=-127 / 128, name="normalization", dtype=dtype
        )
        self.stem = keras.layers.Conv2D(
            _STEM_WIDTH,
            3,
            strides=2,
            padding="same",
            use_bias=False,
            kernel_initializer=conv_initializer(),
            name="stem",
            dtype=dtype,
        )
        self.stem_norm = batch_norm("stem_norm", dtype, **NORM)
        options = list(_block_options(width, depth))
        # One flat list: Keras does not save layers of nested lists.
        self.blocks = [
            InvertedResidual(
                **block,
                drop_path=drop_path_rate * index / len(options),
                name=f"block_{index + 1}",
                dtype=dtype,
            )
            for index, block in enumerate(options)
        ]
        repeats = [_repeats(group, depth) for group in range(len(_GROUPS))]
        # Numbers of the blocks that end a stage.
        self.stage_ends = tuple(sum(repeats[: end + 1]) - 1 for end in _STAGE_ENDS)

    @classmethod
    def from_variant(cls, variant: str, **kwargs) -> "EfficientNetLite":
        """Return the backbone of a published size.

        Args:
            variant: "efficientnet_lite0", "efficientnet_lite1" or "efficientnet_lite2".
            **kwargs: Passed to the constructor.

        Raises:
            ValueError: `variant` is none of them.
        """
        if variant not in EFFICIENTNET_LITE_VARIANTS:
            raise ValueError(
                f"There is no backbone '{variant}'. Choose one of: "
                f"{', '.join(EFFICIENTNET_LITE_VARIANTS)}"
            )
        return cls(**EFFICIENTNET_LITE_VARIANTS[variant], **kwargs)

    def build(self, input_shape):
        self.stem.build(input_shape)
        shape = self.stem.compute_output_shape(input_shape)
        self.stem_norm.build(shape)
        for block in self.blocks:
            block.build(shape)
            shape = block.compute_output_shape(shape)
        self.built = True

    def call(self, x, training=False):
        x = self.stem(self.normalization(x))  # (B, H / 2, W / 2, 32)
        x = ops.relu6(self.stem_norm(x, training=training))
        features = []
        for index, block in enumerate(self.blocks):
            if training and self.rematerialize:
                x = rematerialized(block, x)
            else:
                x = block(x, training=training)
            if index in self.stage_ends:
                features.append(x)
        return features

    def compute_output_shape(self, input_shape):
        shape = self.stem.compute_output_shape(input_shape)
        shapes = []
        for index, block in enumerate(self.blocks):
            shape = block.compute_output_shape(shape)
            if index in self.stage_ends:
                shapes.append(shape)
        return shapes

    def get_config(self):
        return {
            **super().get_config(),
            "width": self.width,
            "depth": self.depth,
            "drop_path_rate": self.drop_path_rate,
            "rematerialize": self.rematerialize,
        }


def _block_options(width: float, depth: float) -> Iterator[dict]:
    """Yield the options of every block."""
    for group, (_, kernel_size, strides, expansion, filters) in enumerate(_GROUPS):
        for repeat in range(_repeats(group, depth)):
            yield {
                "filters": _rounded(filters * width),
                "kernel_size": kernel_size,
                "strides": strides if repeat == 0 else 1,
                "expansion": expansion,
            }


def _repeats(group, depth):
    repeats = _GROUPS[group][0]
    return repeats if group in (0, len(_GROUPS) - 1) else math.ceil(repeats * depth)


def _rounded(filters):
    """Return the nearest multiple of 8 that is not less than 90 % of a width."""
    rounded = max(8, int(filters + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * filters else rounded + 8
