"""Cross-entropy of the pixels that have a label."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_frm.backend import Tensor
from keras_frm.backend.replicas import sum_over_replicas


@keras.saving.register_keras_serializable(package="keras_frm")
class CrossEntropy(keras.losses.Loss):
    """Mean cross-entropy over labelled pixels, weighted by class and by sample.

    The sum of weighted pixel losses is divided by the sum of the weights, as
    `torch.nn.CrossEntropyLoss` does, or by the number of all pixels, as PIDNet does for
    its auxiliary head. A batch without a labelled pixel gives 0.

    Under `tf.distribute` what divides is summed over all replicas, whose results add
    up to the loss of the global batch, however its labelled pixels are spread.

    Args:
        ignore_label: Label of pixels that count nowhere.
        class_weights: One weight for each class, or None.
        name: Name of the loss.
        dtype: Dtype of the computation, at least float32 by default.
        divisor: What divides the sum: "weights" or "pixels", ignored ones too.

    Call:
        y_true: (B, H, W) or (B, H, W, 1) integer labels.
        y_pred: (B, H, W, C) logits.
        sample_weight: (B,) or (B, 1) for images, (B, H, W) or (B, H, W, 1) for pixels,
            or None.

    Example:
    >>> labels, logits = [[[0, 255]]], [[[[2.0, 0.0], [0.0, 9.0]]]]
    >>> round(float(CrossEntropy()(labels, logits)), 4)
    0.1269
    """

    def __init__(
        self,
        ignore_label: int = 255,
        class_weights: Sequence[float] | None = None,
        name: str = "cross_entropy",
        dtype="float32",
        divisor: str = "weights",
    ):
        super().__init__(name=name, reduction="sum", dtype=dtype)
        if divisor not in ("weights", "pixels"):
            raise ValueError(
                f"`divisor` must be 'weights' or 'pixels'. Received: {divisor!r}"
            )
        self.divisor = divisor
        self.ignore_label = ignore_label
        self.class_weights = None if class_weights is None else list(class_weights)

    def __call__(self, y_true, y_pred, sample_weight=None):
        labels = as_labels(y_true)
        weights = self.pixel_weights(labels, ops.shape(y_pred)[-1], sample_weight)
        total = super().__call__(labels, y_pred, sample_weight=weights)
        counted = weights if self.divisor == "weights" else ops.ones_like(weights)
        return ops.divide_no_nan(total, sum_over_replicas(ops.sum(counted)))

    def call(self, y_true, y_pred):
        labels = ops.cast(y_true, "int32")
        return pixel_cross_entropy(labels, y_pred, self.ignore_label)  # (B, H, W)

    def pixel_weights(
        self, labels: Tensor, num_classes: int, sample_weight: Tensor | None = None
    ) -> Tensor:
        """Return the weight of each pixel: (B, H, W)."""
        valid = labels != self.ignore_label
        weights = ops.cast(valid, self.dtype)
        if self.class_weights is not None:
            if len(self.class_weights) != num_classes:
                raise ValueError(
                    f"There are {len(self.class_weights)} `class_weights` for "
                    f"{num_classes} classes; give one for each class."
                )
            table = ops.convert_to_tensor(self.class_weights, self.dtype)
            weights = weights * ops.take(table, ops.where(valid, labels, 0), axis=0)
        if sample_weight is None:
            return weights
        sample_weight = ops.convert_to_tensor(sample_weight, self.dtype)
        return weights * as_pixel_weights(sample_weight)

    def get_config(self):
        return {
            "name": self.name,
            "dtype": self.dtype,
            "ignore_label": self.ignore_label,
            "class_weights": self.class_weights,
            "divisor": self.divisor,
        }


def as_labels(y_true: Tensor) -> Tensor:
    """Return labels as (B, H, W) int32 from (B, H, W) or (B, H, W, 1)."""
    labels = ops.cast(y_true, "int32")
    return ops.squeeze(labels, axis=-1) if len(labels.shape) == 4 else labels


def as_pixel_weights(sample_weight: Tensor) -> Tensor:
    """Return weights as (B, H, W) or (B, 1, 1), of pixels or of images.

    Args:
        sample_weight: (B, H, W), (B, H, W, 1), (B,), or (B, 1) as Keras may pass it.
    """
    if len(sample_weight.shape) == 4:
        return ops.squeeze(sample_weight, axis=-1)
    if len(sample_weight.shape) <= 2:
        return ops.reshape(sample_weight, (-1, 1, 1))
    return sample_weight


def pixel_cross_entropy(labels: Tensor, logits: Tensor, ignore_label: int) -> Tensor:
    """Return each pixel's cross-entropy, 0 where the label is ignored.

    Args:
        labels: (B, H, W) int32 labels.
        logits: (B, H, W, C) logits.
        ignore_label: Label of pixels that count nowhere.

    Returns:
        (B, H, W) tensor of the dtype of `logits`.
    """
    valid = labels != ignore_label
    losses = ops.sparse_categorical_crossentropy(
        ops.where(valid, labels, 0), logits, from_logits=True
    )
    return ops.where(valid, losses, 0.0)
