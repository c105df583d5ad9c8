"""Mean intersection over union from one streaming confusion matrix."""

import keras
import numpy as np
from keras import ops

from keras_frm.backend import Tensor, is_tensorflow
from keras_frm.labels import IGNORE_LABEL
from keras_frm.metrics.confusion import iou_from_confusion

# JAX has no int64 by default, so pixels are counted in two digits of this base.
_BASE = 2**24


@keras.saving.register_keras_serializable(package="keras_frm")
class MeanIoU(keras.metrics.Metric):
    """Mean intersection over union, exact over data sets of any size.

    Pixels are counted in integers: float32, the usual metric dtype, stops counting at
    2**24, eight Cityscapes images; and mixed precision leaves integers alone. Works
    in `tf.function`, under XLA and under `tf.distribute` (replicas are summed).

    A graph cannot raise on a wrong id, so counted pixels with a label or prediction
    outside of 0..C-1 make `result()` NaN, and `iou()` and `confusion` raise
    ValueError, until `reset_state`.

    Args:
        num_classes: Number of classes C.
        ignore_label: Label of the pixels that count nowhere.
        name: Name of the metric.
        dtype: Dtype of `result()` only; None is the backend's widest, float64 but for
            JAX.

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
        super().__init__(name=name, dtype=dtype or _widest("float64"))
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, not {num_classes}.")
        self.num_classes = num_classes
        self.ignore_label = ignore_label
        # Keras' callbacks read this to know that more is better (mode="auto").
        self._direction = "up"
        # The confusion matrix row by row, then one cell for pixels with a wrong id;
        # first the digits below `_BASE`, then those above.
        self._counts = self.add_variable(
            shape=(2, num_classes**2 + 1),
            initializer="zeros",
            dtype=_widest("int64"),
            aggregation="sum",
            name="counts",
        )

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
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
        if not _may_be_equal(labels.shape, predictions.shape):
            raise ValueError(
                f"Labels {tuple(labels.shape)} and predictions "
                f"{tuple(predictions.shape)} differ; resize the logits to the labels "
                "first."
            )
        wrong_cell, dropped_cell = self.num_classes**2, self.num_classes**2 + 1
        known = self._in_range(labels) & self._in_range(predictions)
        cell = labels * self.num_classes + predictions
        cell = ops.where(known, cell, wrong_cell)
        cell = ops.where(labels == self.ignore_label, dropped_cell, cell)
        if sample_weight is not None:
            weight = self._pixel_weight(sample_weight)
            weight = ops.broadcast_to(weight, ops.shape(cell))  # (B, H, W)
            fraction = (weight != 0) & (weight != 1) & (cell != dropped_cell)
            cell = ops.where(fraction, wrong_cell, cell)
            cell = ops.where(weight == 0, dropped_cell, cell)
        # Unlike ops.bincount this compiles under XLA; int32 holds a batch.
        cell = ops.reshape(cell, (-1,))  # (B * H * W,)
        counts = ops.segment_sum(ops.ones_like(cell), cell, dropped_cell + 1)
        low, high = self._counts[0], self._counts[1]  # (C * C + 1,)
        low = low + ops.cast(counts[:dropped_cell], self._counts.dtype)
        self._counts.assign(ops.stack([low % _BASE, high + low // _BASE]))

    def result(self) -> Tensor:
        """Return the mean IoU: a scalar, 0 if nothing has been counted yet."""
        # float64 is exact up to 2**53 pixels, and has kernels everywhere.
        wide = _widest("float64")
        digits = ops.cast(self._counts, wide)  # (2, C * C + 1)
        counts = digits[0] + digits[1] * _BASE
        confusion = ops.reshape(counts[:-1], (self.num_classes, self.num_classes))
        hits = ops.diagonal(confusion)  # (C,)
        union = ops.sum(confusion, axis=0) + ops.sum(confusion, axis=1) - hits
        evaluated = ops.sum(ops.cast(union > 0, wide))
        mean = ops.divide_no_nan(ops.sum(ops.divide_no_nan(hits, union)), evaluated)
        mean = ops.where(counts[-1] > 0, ops.cast(np.nan, wide), mean)
        return ops.cast(mean, self.dtype)

    @property
    def confusion(self) -> np.ndarray:
        """The counts so far: (C, C) int64, label in the row. Not inside a graph."""
        low, high = ops.convert_to_numpy(self._counts).astype(np.int64)
        counts = low + high * _BASE
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

    def _label_ids(self, y_true):
        """Return labels as (B, H, W) int32."""
        labels = ops.convert_to_tensor(y_true)
        if len(labels.shape) == 4 and labels.shape[-1] == 1:
            labels = ops.squeeze(labels, axis=-1)  # (B, H, W)
        if len(labels.shape) != 3 or not keras.backend.is_int_dtype(labels.dtype):
            raise ValueError(
                "Labels must be integer train ids of shape (B, H, W) or (B, H, W, 1), "
                f"not {_described(labels)}."
            )
        return ops.cast(labels, "int32")

    def _predicted_ids(self, y_pred):
        """Return predictions as (B, H, W) int32."""
        predictions = ops.convert_to_tensor(y_pred)
        rank = len(predictions.shape)
        if rank == 3 and keras.backend.is_int_dtype(predictions.dtype):
            return ops.cast(predictions, "int32")
        if rank == 4 and predictions.shape[-1] == self.num_classes:
            return _first_largest(predictions)
        raise ValueError(
            f"Predictions must be scores of shape (B, H, W, {self.num_classes}) or "
            f"integer ids (B, H, W), not {_described(predictions)}."
        )

    def _in_range(self, ids):
        """Tell which ids name a class: bool, the shape of `ids`."""
        return (ids >= 0) & (ids < self.num_classes)

    def _pixel_weight(self, sample_weight):
        """Return weights that broadcast to (B, H, W), float32."""
        weight = ops.cast(ops.convert_to_tensor(sample_weight), "float32")
        rank = len(weight.shape)
        if rank == 4 and weight.shape[-1] == 1:
            return ops.squeeze(weight, axis=-1)  # (B, H, W)
        if rank == 1:
            return weight[:, None, None]  # (B, 1, 1)
        if rank in (0, 3):
            return weight
        raise ValueError(
            "sample_weight must be a scalar, (B,), (B, H, W) or (B, H, W, 1), not "
            f"{tuple(weight.shape)}."
        )


def _widest(dtype):
    """Return a dtype of 64 bits, or of 32 where JAX has no other by default."""
    return dtype.replace("64", "32") if keras.backend.backend() == "jax" else dtype


def _first_largest(scores):
    """Return the class of the largest score, the first of equals: (B, H, W) int32."""
    if is_tensorflow():
        from keras_frm.backend.tensorflow.argmax import argmax

        return argmax(scores)
    return ops.cast(ops.argmax(scores, axis=-1), "int32")


def _may_be_equal(shape, other):
    """Tell whether two shapes of one rank agree where both are known."""
    return all(
        None in pair or pair[0] == pair[1] for pair in zip(shape, other, strict=True)
    )


def _described(x):
    """Return dtype and shape, for a message."""
    return f"{keras.backend.standardize_dtype(x.dtype)} {tuple(x.shape)}"
