"""A picture of a few pairs, to see whether the masks lie where they should."""

import numpy as np

from keras_frm.data.examples import resize_pair
from keras_frm.data.listing import Listing, Pair
from keras_frm.runtime.draw import grid, overlay_with_legend

_COLUMNS = 2
_LONGEST_SIDE = 480  # pixels of an image in the picture


def chosen_pairs(
    pairs: tuple[Pair, ...], first: frozenset[str], count: int = 6
) -> list[Pair]:
    """Choose pairs to look at: those with problems first, others from everywhere.

    Args:
        pairs: Pairs that can be read.
        first: Paths of images to prefer; they take half of the places at most.
        count: Number of pairs at most.

    Returns:
        The pairs, in the order given.
    """
    flagged = [n for n, pair in enumerate(pairs) if str(pair.image) in first]
    taken = _spread(flagged, -(-count // 2))
    others = [n for n in range(len(pairs)) if n not in set(taken)]
    return [pairs[n] for n in sorted([*taken, *_spread(others, count - len(taken))])]


def draw_pairs(listing: Listing, pairs: list[Pair]) -> np.ndarray:
    """Draw overlays with legends, row by row.

    Args:
        listing: What reads the pairs.
        pairs: One or more pairs that can be read.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    pictures = []
    for pair in pairs:
        image, label = listing.read(pair)
        scale = _LONGEST_SIDE / max(label.shape)
        size = tuple(max(1, round(side * scale)) for side in label.shape)
        image, label = resize_pair(image, label, size)
        pictures.append(overlay_with_legend(image, label, listing.labels))
    return grid(pictures, min(_COLUMNS, len(pictures)))


def _spread(items: list[int], count: int) -> list[int]:
    """Take some items at equal distances, all if there are no more."""
    if len(items) <= count:
        return items
    return [items[n * len(items) // count] for n in range(count)]
