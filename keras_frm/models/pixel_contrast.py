"""The contrastive loss of a network's features, at the pixels that are sampled."""

import keras
from keras import ops

from keras_frm.losses import PixelContrastiveLoss
from keras_frm.losses.cross_entropy import as_labels


def contrastive_loss_of(
    loss: PixelContrastiveLoss, head: keras.Layer, labels, logits, features
):
    """Return the contrastive loss at the features' resolution.

    Embeddings are computed for the sampled pixels only.

    Args:
        loss: Samples the pixels and compares their embeddings.
        head: Layer from features (A, C) to embeddings (A, D).
        labels: (B, H, W) or (B, H, W, 1) integer labels.
        logits: (B, H, W, classes), by which wrong pixels are preferred.
        features: (B, h, w, C).

    Returns:
        Scalar tensor.
    """
    size = ops.shape(features)[1:3]
    labels = nearest(as_labels(labels), size)  # (B, h, w)
    # What is no class is left out, whichever label the preset ignores.
    labels = ops.where(labels < logits.shape[-1], labels, loss.ignore_label)
    predictions = ops.argmax(nearest(logits, size), axis=-1)
    indices, valid = loss.sample(labels, predictions)
    pixels = ops.reshape(features, (-1, features.shape[-1]))
    embeddings = head(ops.take(pixels, indices, axis=0))  # (A, D)
    anchor_labels = ops.take(ops.reshape(labels, (-1,)), indices)  # (A,)
    return loss.from_anchors(anchor_labels, embeddings, valid)


def nearest(x, size):
    """Pick the pixels nearest to the centres of a coarser grid.

    Args:
        x: (B, H, W, ...) tensor.
        size: Rows and columns of the grid.

    Returns:
        (B, h, w, ...) tensor.
    """
    for axis, length in zip((1, 2), size, strict=True):
        step = ops.cast(ops.shape(x)[axis], "float32") / ops.cast(length, "float32")
        centres = (ops.arange(length, dtype="float32") + 0.5) * step
        x = ops.take(x, ops.cast(centres, "int32"), axis=axis)
    return x
