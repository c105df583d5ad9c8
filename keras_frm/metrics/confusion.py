"""Confusion matrix and intersection over union, in NumPy."""

import numpy as np

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
