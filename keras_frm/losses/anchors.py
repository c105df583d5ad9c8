"""Which pixels the contrastive loss looks at."""

import keras
from keras import ops

# Labels are stored in a byte; classes that do not occur cost nothing.
NUM_LABELS = 256


def sample_anchors(
    labels,
    predictions,
    *,
    max_anchors: int = 1024,
    max_views: int = 100,
    ignore_label: int = 255,
    seed=None,
):
    """Sample labelled pixels of a batch: as many of each class, hard and easy halves.

    Every class of every image gets the same number of places, `max_anchors` over the
    number of (image, class) pairs present and at most `max_views`. Half of them go to
    hard pixels (predicted wrongly), half to easy ones; where one kind is short the
    other takes its places. All shapes are static, so it compiles with XLA.

    Args:
        labels: (B, H, W) int32 labels, 0 to 255.
        predictions: (B, H, W) int32 predicted classes.
        max_anchors: Places in all. The loss's memory grows with its square.
        max_views: Most places for a class in an image.
        ignore_label: Label of pixels that are never sampled.
        seed: Integer or `keras.random.SeedGenerator` that breaks the ties.

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
    labels = ops.reshape(labels, (batch, -1))  # (B, N)
    hard = ops.cast(ops.reshape(predictions, (batch, -1)) != labels, "int32")
    known = (labels != ignore_label) & (labels >= 0) & (labels < NUM_LABELS)

    # One group for each (image, class, easy or hard); the last one is never sampled.
    groups = batch * NUM_LABELS * 2
    image = ops.expand_dims(ops.arange(batch, dtype="int32"), 1)
    group = ((image * NUM_LABELS + labels) * 2) + hard
    group = ops.reshape(ops.where(known, group, groups), (-1,))  # (B * N,)

    order = _shuffled_order(group, seed)  # (B * N,) sorted by group
    counts = ops.segment_sum(ops.ones_like(group), group, groups + 1)[:groups]
    starts = ops.cumsum(counts) - counts  # (groups,)
    easy_count, hard_count = counts[0::2], counts[1::2]  # (B * NUM_LABELS,)

    present = ops.cast(easy_count + hard_count > 0, "int32")
    views = ops.clip(max_anchors // ops.maximum(ops.sum(present), 1), 1, max_views)
    easy_taken, hard_taken = _split(views, easy_count, hard_count)

    # Place p belongs to view p % views of the (p // views)-th pair that is present.
    place = ops.arange(max_anchors, dtype="int32")
    pair = ops.searchsorted(ops.cumsum(present), place // views + 1, side="left")
    pair = ops.cast(ops.minimum(pair, batch * NUM_LABELS - 1), "int32")
    view = place % views
    is_hard = view < ops.take(hard_taken, pair)
    rank = ops.where(is_hard, view, view - ops.take(hard_taken, pair))
    start = ops.take(starts, 2 * pair + ops.cast(is_hard, "int32"))
    valid = (place // views < ops.sum(present)) & (
        is_hard | (rank < ops.take(easy_taken, pair))
    )
    position = ops.where(valid, start + rank, 0)
    return ops.take(order, position), valid


def _shuffled_order(group, seed):
    """Return the positions sorted by group, in random order within a group."""
    noise = keras.random.uniform(ops.shape(group), seed=seed)
    shuffled = ops.argsort(noise)
    by_group = ops.argsort(ops.take(group, shuffled))
    return ops.cast(ops.take(shuffled, by_group), "int32")


def _split(views, easy_count, hard_count):
    """Split the places of each pair between easy and hard pixels."""
    hard_taken = ops.minimum(hard_count, views // 2)
    easy_taken = ops.minimum(easy_count, views - hard_taken)
    hard_taken = ops.minimum(hard_count, views - easy_taken)
    return easy_taken, hard_taken
