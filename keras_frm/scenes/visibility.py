"""Which things of a synthetic scene can be seen, so that the rest is not drawn."""

import math
from collections.abc import Iterable

import numpy as np

from keras_frm.scenes.view import UP, Camera, Item

_COLUMN = 4  # Canvas pixels that share one entry of the cover.
_SLIM = 0.4  # Metres; what hangs on a slim post reaches beyond its footprint.


def far_to_near(items: Iterable[Item], camera: Camera, width: int) -> list[Item]:
    """Sort items for drawing and leave out those outside the picture or hidden.

    Args:
        items: Items in any order.
        camera: From where they are seen.
        width: Width of the canvas, pixels.
    """
    # For every column the highest row below which all that is farther is hidden.
    cover = np.full(-(-width // _COLUMN), np.inf)
    seen = []
    for item in sorted(items, key=lambda item: item.depth):
        reach = 0.5 * math.hypot(item.length, item.width)
        if not _is_inside(item, reach, camera, width):
            continue
        if item.z - reach > 1.0:
            corners = item.footprint()
            if _is_hidden(item, corners, camera, cover):
                continue
            if item.solid:
                _add_cover(item, corners, camera, cover)
        seen.append(item)
    return seen[::-1]


def _is_inside(item: Item, reach: float, camera: Camera, width: int) -> bool:
    """Say whether any of an item can lie between the picture's left and right."""
    farthest = item.z + reach
    half_angle = (0.5 * width + 2) / camera.focal
    aside = abs(item.x) - max(1.5 * reach, 5.0 if item.length < _SLIM else 0.0)
    return farthest > 0.5 and aside < half_angle * farthest


def _is_hidden(item: Item, corners, camera: Camera, cover: np.ndarray) -> bool:
    """Say whether nearer things cover the whole of an item."""
    if max(item.length, item.width) < _SLIM:
        return False
    # Crowns, arms and roofs go a little beyond the box.
    margin = 0.15 * max(item.width, 0.5)
    tops = camera.project(corners + (item.height + 0.5 * item.width) * UP)
    left, top = tops.min(axis=0)
    right = tops[:, 0].max()
    margin *= camera.scale(item.z)
    first = max(int((left - margin) // _COLUMN), 0)
    behind = cover[first : max(int((right + margin) // _COLUMN) + 1, 0)]
    return bool(len(behind)) and behind.max() < top


def _add_cover(item: Item, corners, camera: Camera, cover: np.ndarray) -> None:
    """Note the columns and rows that an item hides for sure."""
    tops = camera.project(corners + item.solid * item.height * UP)
    left, right = tops[:, 0].min(), tops[:, 0].max()
    inset = 0.0 if item.solid == 1 else 0.12 * (right - left)
    first = max(math.ceil((left + inset) / _COLUMN), 0)
    last = max(int((right - inset) // _COLUMN), 0)
    np.minimum(cover[first:last], tops[:, 1].max(), out=cover[first:last])
