"""Cross-entropy of the hardest pixels."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_frm.backend.replicas import num_replicas, sum_over_replicas
from keras_frm.losses.cross_entropy import CrossEntropy, as_labels


@keras.saving.register_keras_serializable(package="keras_frm")
class OhemCrossEntropy(CrossEntropy):
    """Cross-entropy over pixels whose true class is predicted below a threshold.

    The threshold rises where needed so that about `min_kept` pixels of the batch stay.
    The (class-weighted) losses of the kept pixels are divided by their number.

    Under `tf.distribute` each replica keeps the hardest pixels of its own part, at
    least its share of `min_kept`, and their number is that of all replicas.

    Args:
        threshold: Probability of the true class below which a pixel is hard.
        min_kept: Pixels of the batch to keep at least.
        ignore_label: Label of pixels that count nowhere.
        class_weights: One weight for each class, or None.
        name: Name of the loss.
        dtype: Dtype of the computation.

    Call: as `CrossEntropy`; a `sample_weight` multiplies the kept pixels' losses.

    Source: Shrivastava et al., Training Region-based Object Detectors with Online
    Hard Example Mining, 2016, as DDRNet and PIDNet use it.

    Example:
    >>> labels, logits = [[[0, 0]]], [[[[9.0, 0.0], [0.0, 1.0]]]]
    >>> loss = OhemCrossEntropy(threshold=0.7, min_kept=1)
    >>> round(float(loss(labels, logits)), 4)
    1.3133
    """

    def __init__(
        self,
        threshold: float = 0.9,
        min_kept: int = 131072,
        ignore_label: int = 255,
        class_weights: Sequence[float] | None = None,
        name: str = "ohem_cross_entropy",
        dtype="float32",
    ):
        super().__init__(ignore_label, class_weights, name=name, dtype=dtype)
        self.threshold = threshold
        self.min_kept = min_kept

    def __call__(self, y_true, y_pred, sample_weight=None):
        labels = as_labels(y_true)
        kept = self._hard_pixels(labels, ops.convert_to_tensor(y_pred, self.dtype))
        weights = kept * self.pixel_weights(
            labels, ops.shape(y_pred)[-1], sample_weight
        )
        total = keras.losses.Loss.__call__(self, labels, y_pred, sample_weight=weights)
        # The weights multiply the losses; only the number of kept pixels divides.
        return ops.divide_no_nan(total, sum_over_replicas(ops.sum(kept)))

    def _hard_pixels(self, labels, logits):
        """Return 1 for the pixels to keep, else 0: (B, H, W)."""
        valid = labels != self.ignore_label
        # Ignored pixels sort last and are never below the threshold.
        probability = ops.where(valid, ops.exp(-self.call(labels, logits)), 2.0)
        ranked = ops.sort(ops.reshape(probability, (-1,)))  # (B * H * W,)
        last_valid = ops.sum(ops.cast(valid, "int32")) - 1
        share = self.min_kept // num_replicas()
        rank = ops.maximum(ops.minimum(share, last_valid), 0)
        threshold = ops.maximum(ops.take(ranked, rank), self.threshold)
        return ops.cast(valid & (probability < threshold), self.dtype)

    def get_config(self):
        config = super().get_config()
        del config["divisor"]  # the number of kept pixels
        return {
            **config,
            "threshold": self.threshold,
            "min_kept": self.min_kept,
        }
