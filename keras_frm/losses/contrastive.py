"""The pixel-contrastive loss."""

import keras
from keras import ops

from keras_frm.backend import Tensor
from keras_frm.losses.anchors import sample_anchors
from keras_frm.losses.cross_entropy import as_labels


@keras.saving.register_keras_serializable(package="keras_frm")
class PixelContrastiveLoss(keras.losses.Loss):
    """Pull pixels of a class together and push those of other classes away.

    For an anchor i with the positives P (same class, not i) and negatives N,

        L_i = 1 / |P| * sum_P -log(e^{i.p/tau} / (e^{i.p/tau} + sum_N e^{i.n/tau}))

    on L2-normalised embeddings, averaged over the anchors that have a positive. At
    most `max_anchors` pixels of a batch are used (see `sample_anchors`), of all its
    images together, so the memory of the products is bounded whatever the image size.
    Without a positive, or with one class only, the loss is 0.

    Args:
        temperature: tau.
        max_anchors: Pixels of a batch that are compared with each other.
        max_views: Most pixels of a class in an image.
        ignore_label: Label of pixels that count nowhere.
        seed: Seed of the sampling, or None. Replicas draw the same numbers, each for
            images of its own.
        name: Name of the loss.
        dtype: Dtype of the computation.

    Call:
        y_true: (B, H, W) or (B, H, W, 1) integer labels.
        y_pred: (B, H, W, D) embeddings, normalised or not.

    Source: the FRM paper, eq. 6; Wang et al., Exploring Cross-Image Pixel Contrast
    for Semantic Segmentation, 2021, eq. 3.

    Example:
    >>> labels = [[[0, 0, 1]]]
    >>> embeddings = [[[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]]]
    >>> loss = PixelContrastiveLoss(temperature=1.0)
    >>> round(float(loss(labels, embeddings)), 4)
    0.3133
    """

    def __init__(
        self,
        temperature: float = 0.1,
        max_anchors: int = 512,
        max_views: int = 100,
        ignore_label: int = 255,
        seed: int | None = None,
        name: str = "contrastive",
        dtype="float32",
    ):
        super().__init__(name=name, reduction="none", dtype=dtype)
        if temperature <= 0:
            raise ValueError(f"`temperature` must be positive. Received: {temperature}")
        self.temperature = temperature
        self.max_anchors = max_anchors
        self.max_views = max_views
        self.ignore_label = ignore_label
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, y_true, y_pred):
        labels = as_labels(y_true)
        indices, valid = self.sample(labels, labels)
        embeddings = ops.reshape(y_pred, (-1, ops.shape(y_pred)[-1]))
        return self.from_anchors(
            ops.take(ops.reshape(labels, (-1,)), indices),
            ops.take(embeddings, indices, axis=0),
            valid,
        )

    def sample(self, labels: Tensor, predictions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the positions and the validity of the anchors, see `sample_anchors`.

        Args:
            labels: (B, H, W) int32 labels.
            predictions: (B, H, W) int32 predicted classes: wrong ones are preferred.
        """
        return sample_anchors(
            labels,
            predictions,
            max_anchors=self.max_anchors,
            max_views=self.max_views,
            ignore_label=self.ignore_label,
            seed=self.seed_generator,
        )

    def from_anchors(self, labels: Tensor, embeddings: Tensor, valid: Tensor) -> Tensor:
        """Return the loss of anchors already sampled.

        Args:
            labels: (A,) int32 classes.
            embeddings: (A, D) embeddings, normalised or not.
            valid: (A,) bool, False for places to leave out.

        Returns:
            Scalar tensor.
        """
        embeddings = normalize(ops.cast(embeddings, self.dtype))
        similarity = ops.matmul(embeddings, ops.transpose(embeddings))  # (A, A)
        logits = similarity / self.temperature
        same = ops.expand_dims(labels, 1) == ops.expand_dims(labels, 0)
        pair_valid = ops.expand_dims(valid, 1) & ops.expand_dims(valid, 0)
        other = ~ops.eye(ops.shape(labels)[0], dtype="bool")
        positives = ops.cast(same & other & pair_valid, self.dtype)
        negatives = ~same & pair_valid

        # log(e^p + sum e^n) - p = softplus(log(sum e^n) - p), stable at any tau.
        lowest = ops.cast(-1e9, self.dtype)
        negative_sum = ops.logsumexp(
            ops.where(negatives, logits, lowest), axis=1, keepdims=True
        )  # (A, 1)
        losses = ops.softplus(negative_sum - logits) * positives  # (A, A)

        count = ops.sum(positives, axis=1)  # (A,)
        losses = ops.sum(losses, axis=1) / ops.maximum(count, 1)  # (A,)
        anchors = ops.sum(ops.cast(count > 0, self.dtype))
        return ops.sum(losses) / ops.maximum(anchors, 1)

    def get_config(self):
        return {
            "name": self.name,
            "dtype": self.dtype,
            "temperature": self.temperature,
            "max_anchors": self.max_anchors,
            "max_views": self.max_views,
            "ignore_label": self.ignore_label,
            "seed": self.seed,
        }


def normalize(x: Tensor) -> Tensor:
    """Scale each vector of the last axis to length 1; a zero vector stays zero.

    It has no direction, so no gradient either: the limit's is too large for float16.
    """
    squared = ops.sum(ops.square(x), axis=-1, keepdims=True)
    nonzero = squared > 1e-12
    return ops.where(nonzero, x * ops.rsqrt(ops.where(nonzero, squared, 1.0)), 0.0)
