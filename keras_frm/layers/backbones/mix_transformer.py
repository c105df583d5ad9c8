"""Mix Transformer, the backbone of SegFormer."""

from collections.abc import Sequence

import keras

from keras_frm.layers.backbones.mix_transformer_block import MixTransformerBlock
from keras_frm.layers.backbones.staged_backbone import StagedBackbone

# Name -> widths, heads and depths of the four stages.
MIT_VARIANTS = {
    "mit_b0": {
        "widths": (32, 64, 160, 256),
        "heads": (1, 2, 5, 8),
        "depths": (2, 2, 2, 2),
    },
    "mit_b1": {
        "widths": (64, 128, 320, 512),
        "heads": (1, 2, 5, 8),
        "depths": (2, 2, 2, 2),
    },
}


@keras.saving.register_keras_serializable(package="keras_frm")
class MixTransformer(StagedBackbone):
    """Transformer of four stages without its classifier.

    No positions are encoded, so any size will do.

    Args:
        widths: Channels of the four stages.
        heads: Heads of the attention, by stage.
        depths: Blocks in each stage.
        reductions: Windows of the attention's keys, by stage; see
            `SpatialReductionAttention`.
        mlp_ratio: Hidden channels of the feed-forward parts per channel.
        drop_path_rate: Drop path of the last block; it rises linearly from 0.
        rematerialize: Whether training keeps the inputs of the blocks only and
            computes the rest again for the gradients: the same numbers, less memory,
            more time. Needs the TensorFlow backend.

    Input: (B, H, W, C) floating point. Output: a list of the four stages' features,
    at strides 4, 8, 16 and 32 (sizes round up).

    Source: Xie et al., SegFormer, 2021 (arXiv 2105.15203); NVlabs/SegFormer,
    `MixVisionTransformer`.

    Example:
    >>> backbone = MixTransformer.from_variant("mit_b0")
    >>> [tuple(f.shape[1:]) for f in backbone(keras.ops.ones((1, 45, 64, 3)))][3]
    (2, 2, 256)
    """

    variants = MIT_VARIANTS

    def __init__(
        self,
        widths: Sequence[int],
        heads: Sequence[int],
        depths: Sequence[int] = (2, 2, 2, 2),
        reductions: Sequence[int] = (8, 4, 2, 1),
        mlp_ratio: int = 4,
        drop_path_rate: float = 0.1,
        rematerialize: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        sizes = (widths, heads, depths, reductions)
        if any(len(of_stages) != 4 for of_stages in sizes):
            raise ValueError(
                "MixTransformer has four stages; give four `widths`, `heads`, `depths` "
                f"and `reductions`. Received: {', '.join(map(str, sizes))}"
            )
        self.widths = tuple(widths)
        self.heads = tuple(heads)
        self.depths = tuple(depths)
        self.reductions = tuple(reductions)
        self.mlp_ratio = mlp_ratio
        self.drop_path_rate = drop_path_rate
        self.rematerialize = rematerialize
        self._make_stages(self.widths, "layer", layer_norm_epsilon=1e-6)

    def _make_block(self, stage, **options):
        return MixTransformerBlock(
            self.heads[stage], self.reductions[stage], self.mlp_ratio, **options
        )

    def get_config(self):
        return {
            **super().get_config(),
            "widths": self.widths,
            "heads": self.heads,
            "depths": self.depths,
            "reductions": self.reductions,
            "mlp_ratio": self.mlp_ratio,
            "drop_path_rate": self.drop_path_rate,
            "rematerialize": self.rematerialize,
        }
