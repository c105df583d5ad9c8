"""What backbones of four stages of blocks have in common."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Self

import keras

from keras_frm.backend import rematerialized
from keras_frm.layers.backbones.patch_embedding import OverlapPatchEmbedding
from keras_frm.layers.composite import CompositeLayer


class StagedBackbone(CompositeLayer):
    """Four stages, each of an embedding, of blocks and of a LayerNorm.

    A subclass sets `depths`, `drop_path_rate` and `rematerialize`, calls
    `_make_stages`, and makes its blocks.

    Input: (B, H, W, C) floating point. Output: a list of the four stages' features,
    at strides 4, 8, 16 and 32 (sizes round up).
    """

    # Name of a published size -> arguments of the constructor.
    variants: Mapping[str, Mapping] = {}

    @classmethod
    def from_variant(cls, variant: str, **kwargs) -> Self:
        """Return the backbone of a published size.

        Args:
            variant: Its name, one of `variants`.
            **kwargs: Passed to the constructor.

        Raises:
            ValueError: There is no such name.
        """
        if variant not in cls.variants:
            raise ValueError(
                f"There is no backbone '{variant}'. Choose one of: "
                f"{', '.join(cls.variants)}"
            )
        return cls(**cls.variants[variant], **kwargs)

    def stages(self) -> Iterator[tuple[OverlapPatchEmbedding, list, keras.Layer]]:
        """Yield the layers of each stage: embedding, list of blocks, norm."""
        first = 0
        for embedding, depth, norm in zip(
            self.patch_embeddings, self.depths, self.norms, strict=True
        ):
            yield embedding, self.blocks[first : first + depth], norm
            first += depth

    def _make_stages(
        self, widths: Sequence[int], normalization: str, layer_norm_epsilon: float
    ) -> None:
        """Make all layers; `normalization` is that of the embeddings."""
        self.patch_embeddings = [
            OverlapPatchEmbedding(
                width,
                kernel_size=7 if stage == 0 else 3,
                strides=4 if stage == 0 else 2,
                normalization=normalization,
                name=f"patch_embedding_{stage + 1}",
                dtype=self.dtype_policy,
            )
            for stage, width in enumerate(widths)
        ]
        positions = [
            (stage, block) for stage in range(4) for block in range(self.depths[stage])
        ]
        last = max(len(positions) - 1, 1)
        # One flat list: Keras does not save layers of nested lists.
        self.blocks = [
            self._make_block(
                stage,
                drop_path=self.drop_path_rate * index / last,
                name=f"stage_{stage + 1}_block_{block + 1}",
                dtype=self.dtype_policy,
            )
            for index, (stage, block) in enumerate(positions)
        ]
        self.norms = [
            keras.layers.LayerNormalization(
                epsilon=layer_norm_epsilon,
                name=f"norm_{stage + 1}",
                dtype=self.dtype_policy,
            )
            for stage in range(4)
        ]

    def _make_block(self, stage: int, **options) -> keras.Layer:
        """Return a block of a stage; `options` are its own."""
        raise NotImplementedError

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
