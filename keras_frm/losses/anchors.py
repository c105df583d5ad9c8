"""Which pixels the contrastive loss looks at."""

import keras
from keras import ops

from keras_frm.backend import Tensor

# Labels are stored in a byte; classes that do not occur cost nothing.
NUM_LABELS = 256


def sample_anchors(
    labels: Tensor,
    predictions: Tensor,
    *,
    max_anchors: int = 512,
    max_views: int = 100,
    ignore_label: int = 255,
    seed: int | keras.random.SeedGenerator | None = None,
) -> tuple[Tensor, Tensor]:
    """Sample labelled pixels of a batch: as many of each class, hard and easy halves.

    Every class of every image gets the same number of places, `max_anchors` over the
    number of (image, class) pairs present and at most `max_views`. Half of them go to
    hard pixels (predicted wrongly), half to easy ones; where one kind is short the
    other takes its places. With more pairs than places, random pairs are left out.
    The number of places is static, so it compiles with XLA.

    Args:
        labels: (B, H, W) integer labels; those outside 0 to 255 are never sampled.
        predictions: (B, H, W) integer predicted classes.
        max_anchors: Places in all. The loss's memory grows with its square.
        max_views: Most places for a class in an image.
        ignore_label: Label of pixels that are never sampled.
        seed: Integer or `keras.random.SeedGenerator` of the choice, or None.

    Returns:
        A pair `(indices, valid)`: (max_anchors,) int32 positions in the flattened
        batch, and (max_anchors,) bool, False for places nothing was found for.

    Source: Wang et al., Exploring Cross-Image Pixel Contrast for Semantic
    Segmentation, 2021, section 3.3 (segmentation-aware hard anchor sampling).

    Example:
    >>> labels = keras.ops.array([[[0, 0, 1, 255]]])
    >>> indices, valid = sample_anchors(labels, labels, max_anchors=6)
    >>> sorted(int(i) for i in indices[valid])
    [0, 1, 2]
    """
    batch = ops.shape(labels)[0]
    labels = ops.cast(ops.reshape(labels, (batch, -1)), "int32")  # (B, N)
    predictions = ops.cast(ops.reshape(predictions, (batch, -1)), "int32")
    hard = ops.cast(predictions != labels, "int32")
    known = (labels != ignore_label) & (labels >= 0) & (labels < NUM_LABELS)

    # One group for each (image, class, easy or hard); the last one is never sampled.
    pairs = batch * NUM_LABELS
    groups = pairs * 2
    image = ops.expand_dims(ops.arange(batch, dtype="int32"), 1)
    group = ((image * NUM_LABELS + labels) * 2) + hard
    group = ops.reshape(ops.where(known, group, groups), (-1,))  # (B * N,)

    noise = keras.random.uniform((pairs + ops.shape(group)[0],), seed=seed)
    order = _shuffled_order(group, noise[pairs:])  # (B * N,) sorted by group
    counts = ops.segment_sum(ops.ones_like(group), group, groups + 1)[:groups]
    starts = ops.cumsum(counts) - counts  # (groups,)
    easy_count, hard_count = counts[0::2], counts[1::2]  # (pairs,)

    present = easy_count + hard_count > 0
    num_present = ops.sum(ops.cast(present, "int32"))
    # In random order, so that the last images are not the ones left out.
    pair_order = ops.argsort(ops.where(present, noise[:pairs], 2.0))
    views = ops.clip(max_anchors // ops.maximum(num_present, 1), 1, max_views)
    easy_taken, hard_taken = _split(views, easy_count, hard_count)

    # Place p belongs to view p % views of the (p // views)-th pair that is present.
    place = ops.arange(max_anchors, dtype="int32")
    turn, view = place // views, place % views
    pair = ops.cast(ops.take(pair_order, ops.minimum(turn, pairs - 1)), "int32")
    is_hard = view < ops.take(hard_taken, pair)
    rank = ops.where(is_hard, view, view - ops.take(hard_taken, pair))
    start = ops.take(starts, 2 * pair + ops.cast(is_hard, "int32"))
    valid = (turn < num_present) & (is_hard | (rank < ops.take(easy_taken, pair)))
    position = ops.where(valid, start + rank, 0)
    return ops.take(order, position), valid


def _shuffled_order(group, noise):
    """Return the positions sorted by group, in random order within a group."""
    shuffled = ops.argsort(noise)
    by_group = ops.argsort(ops.take(group, shuffled))
    return ops.cast(ops.take(shuffled, by_group), "int32")


def _split(views, easy_count, hard_count):
    """Split the places of each pair between easy and hard pixels."""
    hard_taken = ops.minimum(hard_count, views // 2)
    easy_taken = ops.minimum(easy_count, views - hard_taken)
    hard_taken = ops.minimum(hard_count, views - easy_taken)
    return easy_taken, hard_taken
