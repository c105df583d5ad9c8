"""Intersection over union from one streaming confusion matrix."""

import keras
import numpy as np
import tensorflow as tf

from keras_frm.labels import IGNORE_LABEL


def confusion_matrix(
    labels: np.ndarray,
    predictions: np.ndarray,
    num_classes: int,
    ignore_label: int = IGNORE_LABEL,
) -> np.ndarray:
    """Count the pixels of every pair of label and prediction.

    Args:
        labels: Train ids of any shape, any integer dtype.
        predictions: Predicted train ids, the shape of `labels`, integer.
        num_classes: Number of classes C.
        ignore_label: Pixels with this label count nowhere, whatever is
            predicted there.

    Returns:
        (C, C) int64, label in the row, prediction in the column.

    Raises:
        ValueError: If shapes or dtypes do not fit, or a counted pixel holds an id
            outside of 0..C-1.

    Example:
    >>> confusion_matrix(np.array([0, 1, 255]), np.array([0, 0, 1]), 2).tolist()
    [[1, 0], [1, 0]]
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.shape != predictions.shape:
        raise ValueError(
            f"Labels {labels.shape} and predictions {predictions.shape} differ in "
            "shape; give one prediction for each label."
        )
    for name, ids in (("Labels", labels), ("Predictions", predictions)):
        if ids.dtype.kind not in "iu":
            raise ValueError(f"{name} must be integer ids, not {ids.dtype}.")
    counted = labels != ignore_label
    labels, predictions = labels[counted], predictions[counted]  # (pixels,)
    for name, ids in (("Labels", labels), ("Predictions", predictions)):
        if ids.size and not (ids.min() >= 0 and ids.max() < num_classes):
            wrong = np.unique(ids[(ids < 0) | (ids >= num_classes)])
            raise ValueError(
                f"{name} hold the ids {wrong[:8].tolist()} outside of "
                f"0..{num_classes - 1}; map them to train ids or to the ignore label "
                f"{ignore_label}."
            )
    cells = labels.astype(np.int64) * num_classes + predictions.astype(np.int64)
    counts = np.bincount(cells, minlength=num_classes**2)
    return counts.astype(np.int64).reshape(num_classes, num_classes)


def iou_from_confusion(confusion: np.ndarray) -> np.ndarray:
    """Compute each class's intersection over union, TP / (TP + FP + FN).

    The definition of cityscapesScripts (evalPixelLevelSemanticLabeling.py): a class
    in neither labels nor predictions is not evaluated and leaves the mean, a class
    that is only predicted has IoU 0.

    Args:
        confusion: (C, C) counts, label in the row, prediction in the column.

    Returns:
        (C,) float64, NaN for classes that are not evaluated; their mean is
        `np.nanmean`.

    Example:
    >>> iou_from_confusion(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]])).tolist()
    [0.75, 0.8, nan]
    """
    counts = np.asarray(confusion, np.float64)  # exact up to 2**53 pixels
    hits = np.diagonal(counts)
    union = counts.sum(axis=0) + counts.sum(axis=1) - hits
    iou = np.full(len(counts), np.nan)
    return np.divide(hits, union, out=iou, where=union > 0)


@keras.saving.register_keras_serializable(package="keras_frm")
class MeanIoU(keras.metrics.Metric):
    """Mean intersection over union, exact over data sets of any size.

    Pixels are counted in int64: float32, the usual metric dtype, stops counting at
    2**24, eight Cityscapes images; and mixed precision leaves integers alone. Works
    in `tf.function`, under XLA and under `tf.distribute` (replicas are summed).

    A graph cannot raise on a wrong id, so counted pixels with a label or prediction
    outside of 0..C-1 make `result()` NaN, and `iou()` and `confusion` raise
    ValueError, until `reset_state`.

    Args:
        num_classes: Number of classes C.
        ignore_label: Label of the pixels that count nowhere.
        name: Name of the metric.
        dtype: Dtype of `result()` only; None is float64. The counts are int64.

    Example:
    >>> metric = MeanIoU(num_classes=2)
    >>> labels = np.array([[[0, 1], [1, 255]]])  # (B, H, W)
    >>> metric.update_state(labels, np.array([[[0, 1], [0, 0]]]))
    >>> float(metric.result()), metric.iou().tolist()
    (0.5, [0.5, 0.5])
    """

    def __init__(
        self,
        num_classes: int,
        ignore_label: int = IGNORE_LABEL,
        name: str = "mean_iou",
        dtype=None,
    ):
        super().__init__(name=name, dtype=dtype or "float64")
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, not {num_classes}.")
        self.num_classes = num_classes
        self.ignore_label = ignore_label
        # Keras' callbacks read this to know that more is better (mode="auto").
        self._direction = "up"
        # The confusion matrix row by row, then one cell for pixels with a wrong id.
        self._counts = self.add_variable(
            shape=(num_classes**2 + 1,),
            initializer="zeros",
            dtype="int64",
            aggregation="sum",
            name="counts",
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Count a batch.

        Args:
            y_true: (B, H, W) or (B, H, W, 1) integer train ids.
            y_pred: (B, H, W, C) scores of any dtype, or (B, H, W) integer ids.
            sample_weight: None or a mask, 0 (left out) or 1, of any dtype: (B,) for
                images, (B, H, W) or (B, H, W, 1) for pixels, or a scalar. A fraction
                has no exact count and is treated as a wrong id.

        Raises:
            ValueError: If shapes or dtypes do not fit.
        """
        labels = self._label_ids(y_true)  # (B, H, W)
        predictions = self._predicted_ids(y_pred)  # (B, H, W)
        if not labels.shape.is_compatible_with(predictions.shape):
            raise ValueError(
                f"Labels {labels.shape} and predictions {predictions.shape} differ; "
                "resize the logits to the labels first."
            )
        wrong_cell, dropped_cell = self.num_classes**2, self.num_classes**2 + 1
        known = self._in_range(labels) & self._in_range(predictions)
        cell = labels * self.num_classes + predictions
        cell = tf.where(known, cell, wrong_cell)
        cell = tf.where(labels == self.ignore_label, dropped_cell, cell)
        if sample_weight is not None:
            weight = self._pixel_weight(sample_weight)
            weight = tf.broadcast_to(weight, tf.shape(cell))  # (B, H, W)
            fraction = (weight != 0) & (weight != 1) & (cell != dropped_cell)
            cell = tf.where(fraction, wrong_cell, cell)
            cell = tf.where(weight == 0, dropped_cell, cell)
        # Unlike tf.math.bincount this compiles under XLA; int32 holds a batch.
        counts = tf.math.unsorted_segment_sum(
            tf.ones_like(cell), cell, num_segments=dropped_cell + 1
        )
        self._counts.assign_add(tf.cast(counts[:dropped_cell], tf.int64))

    def result(self):
        """Return the mean IoU: a scalar, 0 if nothing has been counted yet."""
        # float64 is exact up to 2**53 pixels, and has kernels everywhere.
        counts = tf.cast(tf.convert_to_tensor(self._counts), tf.float64)
        confusion = tf.reshape(counts[:-1], (self.num_classes, self.num_classes))
        hits = tf.linalg.diag_part(confusion)  # (C,)
        union = tf.reduce_sum(confusion, 0) + tf.reduce_sum(confusion, 1) - hits
        evaluated = tf.reduce_sum(tf.cast(union > 0, tf.float64))
        mean = tf.math.divide_no_nan(
            tf.reduce_sum(tf.math.divide_no_nan(hits, union)), evaluated
        )
        mean = tf.where(counts[-1] > 0, tf.constant(np.nan, tf.float64), mean)
        return tf.cast(mean, self.dtype)

    @property
    def confusion(self) -> np.ndarray:
        """The counts so far: (C, C) int64, label in the row. Not inside a graph."""
        counts = keras.ops.convert_to_numpy(self._counts)
        if counts[-1]:
            raise ValueError(
                f"Metric '{self.name}': {counts[-1]} pixels have a label or a "
                f"prediction outside of 0..{self.num_classes - 1} that is not the "
                f"ignore label {self.ignore_label} (or a sample weight other than 0 "
                "and 1); correct the label ids and call reset_state()."
            )
        return counts[:-1].reshape(self.num_classes, self.num_classes)

    def iou(self) -> np.ndarray:
        """Return each class's IoU: (C,) float64, NaN for classes not evaluated."""
        return iou_from_confusion(self.confusion)

    def get_config(self):
        """Return the arguments of the constructor."""
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "ignore_label": self.ignore_label,
        }

    def _label_ids(self, y_true) -> tf.Tensor:
        """Return labels as (B, H, W) int32."""
        labels = tf.convert_to_tensor(y_true)
        if labels.shape.rank == 4 and labels.shape[-1] == 1:
            labels = tf.squeeze(labels, -1)  # (B, H, W)
        if labels.shape.rank != 3 or not labels.dtype.is_integer:
            raise ValueError(
                "Labels must be integer train ids of shape (B, H, W) or (B, H, W, 1), "
                f"not {labels.dtype.name} {labels.shape}."
            )
        return tf.cast(labels, tf.int32)

    def _predicted_ids(self, y_pred) -> tf.Tensor:
        """Return predictions as (B, H, W) int32."""
        predictions = tf.convert_to_tensor(y_pred)
        if predictions.shape.rank == 3 and predictions.dtype.is_integer:
            return tf.cast(predictions, tf.int32)
        if predictions.shape.rank == 4 and predictions.shape[-1] == self.num_classes:
            return tf.argmax(predictions, -1, output_type=tf.int32)
        raise ValueError(
            f"Predictions must be scores of shape (B, H, W, {self.num_classes}) or "
            f"integer ids (B, H, W), not {predictions.dtype.name} {predictions.shape}."
        )

    def _in_range(self, ids: tf.Tensor) -> tf.Tensor:
        """Tell which ids name a class: bool, the shape of `ids`."""
        return (ids >= 0) & (ids < self.num_classes)

    def _pixel_weight(self, sample_weight) -> tf.Tensor:
        """Return weights that broadcast to (B, H, W), float32."""
        weight = tf.cast(tf.convert_to_tensor(sample_weight), tf.float32)
        if weight.shape.rank == 4 and weight.shape[-1] == 1:
            return tf.squeeze(weight, -1)  # (B, H, W)
        if weight.shape.rank == 1:
            return weight[:, None, None]  # (B, 1, 1)
        if weight.shape.rank in (0, 3):
            return weight
        raise ValueError(
            "sample_weight must be a scalar, (B,), (B, H, W) or (B, H, W, 1), not "
            f"{weight.shape}."
        )
