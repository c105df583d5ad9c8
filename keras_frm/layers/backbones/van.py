"""Visual Attention Network, the backbone."""

from collections.abc import Sequence

import keras

from keras_frm.layers.backbones.staged_backbone import StagedBackbone
from keras_frm.layers.backbones.van_block import VANBlock

# Name -> widths, MLP ratios and depths of the four stages (B0..B3).
VAN_VARIANTS = {
    "van_tiny": {
        "embed_dims": (32, 64, 160, 256),
        "mlp_ratios": (8, 8, 4, 4),
        "depths": (3, 3, 5, 2),
    },
    "van_small": {
        "embed_dims": (64, 128, 320, 512),
        "mlp_ratios": (8, 8, 4, 4),
        "depths": (2, 2, 4, 2),
    },
    "van_base": {
        "embed_dims": (64, 128, 320, 512),
        "mlp_ratios": (8, 8, 4, 4),
        "depths": (3, 3, 12, 3),
    },
    "van_large": {
        "embed_dims": (64, 128, 320, 512),
        "mlp_ratios": (8, 8, 4, 4),
        "depths": (3, 5, 27, 3),
    },
}


@keras.saving.register_keras_serializable(package="keras_frm")
class VAN(StagedBackbone):
    """Visual Attention Network without its classifier.

    Args:
        embed_dims: Channels of the four stages.
        mlp_ratios: Hidden channels of the feed-forward part per channel, by stage.
        depths: Blocks in each stage.
        drop_path_rate: Drop path of the last block; it rises linearly from 0.
        layer_norm_epsilon: Epsilon of the LayerNorm that ends a stage: 1e-6 in the
            classification code and its weights, 1e-5 in the segmentation code.
        rematerialize: Whether training keeps the inputs of the blocks only and
            computes the rest again for the gradients: the same numbers, less memory,
            more time. Needs the TensorFlow backend.

    Input: (B, H, W, C) floating point. Output: a list of the four stages' features,
    at strides 4, 8, 16 and 32 (sizes round up).

    Source: Guo et al., Visual Attention Network, 2022 (arXiv 2202.09741).

    Example:
    >>> backbone = VAN.from_variant("van_tiny")
    >>> [tuple(f.shape[1:]) for f in backbone(keras.ops.ones((1, 45, 64, 3)))][3]
    (2, 2, 256)
    """

    variants = VAN_VARIANTS

    def __init__(
        self,
        embed_dims: Sequence[int],
        mlp_ratios: Sequence[int],
        depths: Sequence[int],
        drop_path_rate: float = 0.1,
        layer_norm_epsilon: float = 1e-6,
        rematerialize: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not len(embed_dims) == len(mlp_ratios) == len(depths) == 4:
            raise ValueError(
                "VAN has four stages; give four `embed_dims`, `mlp_ratios` and "
                f"`depths`. Received: {embed_dims}, {mlp_ratios}, {depths}"
            )
        self.embed_dims = tuple(embed_dims)
        self.mlp_ratios = tuple(mlp_ratios)
        self.depths = tuple(depths)
        self.drop_path_rate = drop_path_rate
        self.layer_norm_epsilon = layer_norm_epsilon
        self.rematerialize = rematerialize
        self._make_stages(self.embed_dims, "batch", layer_norm_epsilon)

    def _make_block(self, stage, **options):
        return VANBlock(self.mlp_ratios[stage], **options)

    def get_config(self):
        return {
            **super().get_config(),
            "embed_dims": self.embed_dims,
            "mlp_ratios": self.mlp_ratios,
            "depths": self.depths,
            "drop_path_rate": self.drop_path_rate,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "rematerialize": self.rematerialize,
        }
