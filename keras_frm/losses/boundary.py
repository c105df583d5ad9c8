"""Losses of an output that finds the boundaries between classes."""

import keras
from keras import ops

from keras_frm.backend import Tensor
from keras_frm.backend.replicas import sum_over_replicas
from keras_frm.losses.cross_entropy import as_labels, as_pixel_weights

# Rows and columns of the band along a boundary, half on each side.
_BAND = 4
# Pixels at the image's border where no boundary begins.
_MARGIN = 6


@keras.saving.register_keras_serializable(package="keras_frm")
class BoundaryLoss(keras.losses.Loss):
    """Binary cross-entropy of the boundaries, which both sides weigh the same in.

    Pixels near a boundary weigh the share of all others, and the others theirs; the sum
    is divided by the number of all pixels. Under `tf.distribute` these are the pixels
    of all replicas.

    Args:
        name: Name of the loss.
        dtype: Dtype of the computation.

    Call:
        y_true: (B, H, W) or (B, H, W, 1) integer labels; see `class_boundaries`.
        y_pred: (B, H, W, 1) logits.
        sample_weight: See `CrossEntropy`.

    Source: PIDNet, Xu et al., 2023, section 3.4; `BondaryLoss` of its code.

    Example:
    >>> labels = keras.ops.zeros((1, 16, 16), "int32")
    >>> logits = keras.ops.zeros((1, 16, 16, 1))
    >>> float(BoundaryLoss()(labels, logits))
    0.0
    """

    def __init__(self, name: str = "boundary", dtype="float32"):
        super().__init__(name=name, reduction="sum", dtype=dtype)

    def __call__(self, y_true, y_pred, sample_weight=None):
        near = class_boundaries(as_labels(y_true))
        return self.of_boundaries(near, y_pred, sample_weight)

    def of_boundaries(
        self, boundaries: Tensor, logits: Tensor, sample_weight: Tensor | None = None
    ) -> Tensor:
        """Return the loss for boundaries that are known.

        Args:
            boundaries: (B, H, W) bool, or 0 and 1.
            logits: (B, H, W, 1).
            sample_weight: See `CrossEntropy`.

        Returns:
            Scalar tensor.
        """
        near = ops.cast(boundaries, self.dtype)  # (B, H, W)
        pixels = sum_over_replicas(ops.sum(ops.ones_like(near)))
        share = sum_over_replicas(ops.sum(near)) / pixels
        weights = (near * (1 - share) + (1 - near) * share) / pixels
        if sample_weight is not None:
            sample_weight = ops.convert_to_tensor(sample_weight, self.dtype)
            weights = weights * as_pixel_weights(sample_weight)
        return super().__call__(near, logits, sample_weight=weights)

    def call(self, y_true, y_pred):
        logits = ops.squeeze(y_pred, axis=-1)
        # -log sigmoid(z) on the boundary, -log(1 - sigmoid(z)) elsewhere.
        return ops.softplus(logits) - y_true * logits  # (B, H, W)

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype}


def class_boundaries(labels: Tensor) -> Tensor:
    """Return which pixels are near a boundary between labels, ignored ones included.

    A band of four pixels, two on each side of where neighbours differ. None begins in
    the six pixels at the image's border, where crops cut.

    PIDNet draws the line with Canny's detector before it widens it, by as much. The
    bands share nine tenths of their pixels; they differ at corners and crossings.

    Args:
        labels: (B, H, W) integer labels.

    Returns:
        (B, H, W) bool tensor.

    Example:
    >>> labels = keras.ops.array([[[0] * 8 + [1] * 8] * 14])
    >>> class_boundaries(labels)[0, 7].numpy().nonzero()[0].tolist()
    [6, 7, 8, 9]
    """
    right = labels[:, :, 1:] != labels[:, :, :-1]
    below = labels[:, 1:] != labels[:, :-1]
    line = ops.pad(right, ((0, 0), (0, 0), (0, 1)))
    line = line | ops.pad(below, ((0, 0), (0, 1), (0, 0)))  # (B, H, W)
    line = line & _inner(ops.shape(labels)[1], ops.shape(labels)[2])
    before, after = _BAND // 2, _BAND // 2 - 1
    padded = ops.pad(
        ops.cast(ops.expand_dims(line, -1), "float32"),
        ((0, 0), (before, after), (before, after), (0, 0)),
    )
    band = ops.max_pool(padded, _BAND, strides=1, padding="valid")  # (B, H, W, 1)
    return ops.squeeze(band, axis=-1) > 0


def labels_near_boundaries(
    labels: Tensor, logits: Tensor, threshold: float, ignore_label: int
) -> Tensor:
    """Return the labels, ignored where no boundary is predicted.

    Args:
        labels: (B, H, W) integer labels.
        logits: (B, H, W, 1) logits of boundaries.
        threshold: Probability above which a pixel is near a boundary.
        ignore_label: Label of pixels that count nowhere.

    Returns:
        (B, H, W) integer labels.

    Source: PIDNet's boundary-awareness loss, eq. 8.

    Example:
    >>> labels = keras.ops.array([[[3, 3]]])
    >>> logits = keras.ops.array([[[[9.0], [-9.0]]]])
    >>> labels_near_boundaries(labels, logits, 0.8, 255).numpy().tolist()
    [[[3, 255]]]
    """
    near = ops.sigmoid(ops.squeeze(logits, axis=-1)) > threshold
    return ops.where(near, labels, ignore_label)


def _inner(height, width):
    """Return which pixels are not at the border: (H, W)."""
    rows, columns = ops.arange(height), ops.arange(width)
    rows = (rows >= _MARGIN) & (rows < height - _MARGIN)
    columns = (columns >= _MARGIN) & (columns < width - _MARGIN)
    return ops.expand_dims(rows, 1) & ops.expand_dims(columns, 0)
