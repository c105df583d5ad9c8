"""Mix Transformer, the backbone of SegFormer."""

from collections.abc import Iterator, Sequence

import keras

from keras_frm.backend import rematerialized
from keras_frm.layers.backbones.mix_transformer_block import MixTransformerBlock
from keras_frm.layers.backbones.patch_embedding import OverlapPatchEmbedding
from keras_frm.layers.composite import CompositeLayer

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
class MixTransformer(CompositeLayer):
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
        self.patch_embeddings = [
            OverlapPatchEmbedding(
                width,
                kernel_size=7 if stage == 0 else 3,
                strides=4 if stage == 0 else 2,
                normalization="layer",
                name=f"patch_embedding_{stage + 1}",
                dtype=self.dtype_policy,
            )
            for stage, width in enumerate(self.widths)
        ]
        # One flat list: Keras does not save layers of nested lists.
        self.blocks = self._make_blocks()
        self.norms = [
            keras.layers.LayerNormalization(
                epsilon=1e-6, name=f"norm_{stage + 1}", dtype=self.dtype_policy
            )
            for stage in range(4)
        ]

    def _make_blocks(self):
        """Return the blocks of all stages; their drop path rates rise."""
        last = max(sum(self.depths) - 1, 1)
        positions = [
            (stage, block) for stage in range(4) for block in range(self.depths[stage])
        ]
        return [
            MixTransformerBlock(
                self.heads[stage],
                self.reductions[stage],
                self.mlp_ratio,
                drop_path=self.drop_path_rate * index / last,
                name=f"stage_{stage + 1}_block_{block + 1}",
                dtype=self.dtype_policy,
            )
            for index, (stage, block) in enumerate(positions)
        ]

    def stages(self) -> Iterator[tuple[OverlapPatchEmbedding, list, keras.Layer]]:
        """Yield the layers of each stage: embedding, list of blocks, norm."""
        first = 0
        for embedding, depth, norm in zip(
            self.patch_embeddings, self.depths, self.norms, strict=True
        ):
            yield embedding, self.blocks[first : first + depth], norm
            first += depth

    @classmethod
    def from_variant(cls, variant: str, **kwargs) -> "MixTransformer":
        """Return the backbone of a published size.

        Args:
            variant: "mit_b0" or "mit_b1".
            **kwargs: Passed to the constructor.

        Raises:
            ValueError: `variant` is none of them.
        """
        if variant not in MIT_VARIANTS:
            raise ValueError(
                f"There is no backbone '{variant}'. Choose one of: "
                f"{', '.join(MIT_VARIANTS)}"
            )
        return cls(**MIT_VARIANTS[variant], **kwargs)

    def build(self, input_shape):
        for embedding, blocks, norm in self.stages():
            embedding.build(input_shape)
            input_shape = embedding.compute_output_shape(input_shape)
            for layer in (*blocks, norm):
                layer.build(input_shape)
        self.built = True

    def call(self, x, training=False):
        features = []
        for embedding, blocks, norm in self.stages():
            x = embedding(x, training=training)  # half the size, a quarter at first
            for block in blocks:
                if training and self.rematerialize:
                    x = rematerialized(block, x)
                else:
                    x = block(x, training=training)
            x = norm(x)
            features.append(x)
        return features

    def compute_output_shape(self, input_shape):
        shapes = []
        for embedding in self.patch_embeddings:
            input_shape = embedding.compute_output_shape(input_shape)
            shapes.append(input_shape)
        return shapes

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
