"""The contrastive loss of a batch, from its labels, logits and features."""

import keras
from keras import ops

from keras_frm.backend import Tensor
from keras_frm.losses import PixelContrastiveLoss
from keras_frm.losses.cross_entropy import as_labels
from keras_frm.networks.contract import NetworkParts


def embedding_head(
    parts: NetworkParts, embedding_dim: int, dtype
) -> keras.layers.Dense:
    """Return what embeds sampled pixels, built: a 1x1 convolution's weights.

    Args:
        parts: The network's parts.
        embedding_dim: Channels of the embeddings.
        dtype: Dtype policy.

    Raises:
        ValueError: The network has no features.
    """
    if parts.features is None:
        raise ValueError(
            f"Network '{parts.name}' has no features for an embedding head; pass "
            "contrastive_weight=0."
        )
    head = keras.layers.Dense(embedding_dim, dtype=dtype, name="embedding_head")
    head.build((None, parts.features.shape[-1]))
    return head


def contrastive_term(
    loss: PixelContrastiveLoss,
    head: keras.layers.Dense,
    labels: Tensor,
    logits: Tensor,
    features: Tensor,
) -> Tensor:
    """Return the contrastive loss at the features' resolution.

    Args:
        loss: Samples the pixels, and compares them.
        head: Embeds the sampled pixels alone.
        labels: (B, H, W) or (B, H, W, 1) integer labels.
        logits: (B, H, W, C).
        features: (B, h, w, D).
    """
    size, num_classes = ops.shape(features)[1:3], logits.shape[-1]
    labels = _nearest(as_labels(labels), size)  # (B, h, w)
    # What is no class is left out, whichever label the preset ignores.
    labels = ops.where(labels < num_classes, labels, loss.ignore_label)
    predictions = ops.argmax(_nearest(logits, size), axis=-1)  # (B, h, w)
    indices, valid = loss.sample(labels, predictions)
    pixels = ops.reshape(features, (-1, features.shape[-1]))  # (B * h * w, D)
    embeddings = head(ops.take(pixels, indices, axis=0))  # (A, E)
    anchor_labels = ops.take(ops.reshape(labels, (-1,)), indices)  # (A,)
    return loss.from_anchors(anchor_labels, embeddings, valid)


def _nearest(x, size):
    """Pick the pixels nearest to the centres of a coarser grid."""
    for axis, length in zip((1, 2), size, strict=True):
        step = ops.cast(ops.shape(x)[axis], "float32") / ops.cast(length, "float32")
        centres = (ops.arange(length, dtype="float32") + 0.5) * step
        x = ops.take(x, ops.cast(centres, "int32"), axis=axis)
    return x  # (B, h, w, ...)
