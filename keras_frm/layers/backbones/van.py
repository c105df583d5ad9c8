"""Visual Attention Network, the backbone."""

from collections.abc import Iterator, Sequence

import keras

from keras_frm.backend import rematerialized
from keras_frm.layers.backbones.patch_embedding import OverlapPatchEmbedding
from keras_frm.layers.backbones.van_block import VANBlock
from keras_frm.layers.composite import CompositeLayer

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
class VAN(CompositeLayer):
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
        self.patch_embeddings = [
            OverlapPatchEmbedding(
                dim,
                kernel_size=7 if stage == 0 else 3,
                strides=4 if stage == 0 else 2,
                name=f"patch_embedding_{stage + 1}",
                dtype=self.dtype_policy,
            )
            for stage, dim in enumerate(self.embed_dims)
        ]
        # One flat list: Keras does not save layers of nested lists.
        self.blocks = self._make_blocks()
        self.norms = [
            keras.layers.LayerNormalization(
                epsilon=layer_norm_epsilon,
                name=f"norm_{stage + 1}",
                dtype=self.dtype_policy,
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
            VANBlock(
                self.mlp_ratios[stage],
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
    def from_variant(cls, variant: str, **kwargs) -> "VAN":
        """Return the backbone of a published size.

        Args:
            variant: "van_tiny", "van_small", "van_base" or "van_large" (B0 to B3).
            **kwargs: Passed to the constructor.

        Raises:
            ValueError: `variant` is none of them.
        """
        if variant not in VAN_VARIANTS:
            raise ValueError(
                f"There is no backbone '{variant}'. Choose one of: "
                f"{', '.join(VAN_VARIANTS)}"
            )
        return cls(**VAN_VARIANTS[variant], **kwargs)

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
            "embed_dims": self.embed_dims,
            "mlp_ratios": self.mlp_ratios,
            "depths": self.depths,
            "drop_path_rate": self.drop_path_rate,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "rematerialize": self.rematerialize,
        }
