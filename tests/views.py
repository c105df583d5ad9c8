"""Images, masks and draws of views that two augmentations must make alike."""

import numpy as np

CASES = {
    "crop of odd size": {"size": (60, 61), "crop": (41, 37)},
    "image smaller than the crop": {"size": (20, 30), "crop": (64, 48)},
    "image higher than the crop and narrower": {"size": (90, 20), "crop": (48, 64)},
    "image of one pixel": {"size": (1, 1), "crop": (8, 8)},
    "crop of one pixel": {"size": (9, 9), "crop": (1, 1)},
    "one image": {"size": (40, 60), "crop": (32, 32), "count": 1},
    "strong jitter": {"size": (40, 60), "crop": (32, 48), "colour_jitter": 0.9},
    "jitter beside padding, own ignore label": {
        "size": (9, 9),
        "crop": (16, 16),
        "colour_jitter": 0.4,
        "ignore_label": 77,
    },
    "scale of one": {"size": (40, 60), "crop": (32, 48), "scale_range": (1.0, 1.0)},
    "only shrunk, no flip": {
        "size": (80, 90),
        "crop": (32, 48),
        "scale_range": (0.3, 0.5),
        "flip": False,
    },
    "all ignored": {"size": (40, 60), "crop": (32, 48), "masks": 255},
}


def case(name):
    """Return images, masks and draws of a case, and the options of its views.

    Returns:
        (N, H, W, 3) uint8, (N, H, W) uint8, (N, 9) float32, and a dict.
    """
    given = dict(CASES[name])
    size, count, mask = given.pop("size"), given.pop("count", 24), given.pop("masks", 0)
    random = np.random.default_rng(len(name))
    images = random.integers(0, 256, (count, *size, 3), np.uint8)
    masks = random.integers(0, 12, (count, *size), np.uint8)
    if mask:
        masks[:] = mask
    draws = random.random((count, 9), np.float32)
    # The first and the last place, and the ends of what is drawn evenly.
    draws[0] = 0
    if count > 1:
        draws[-1] = np.nextafter(np.float32(1), np.float32(0))
    default = {
        "scale_range": (0.5, 2.0),
        "flip": True,
        "colour_jitter": 0.0,
        "ignore_label": 255,
    }
    return images, masks, draws, {**default, **given}


def assert_same_views(views, ids, other_views, other_ids):
    """Compare views: labels equal, images by rounding alone and nearly everywhere."""
    np.testing.assert_array_equal(ids, other_ids)
    difference = np.abs(views.astype(int) - other_views)
    assert difference.max() <= 1
    assert (difference == 0).mean() >= 0.999
