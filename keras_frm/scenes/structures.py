"""Buildings, walls, fences, hedges and trees of the synthetic scenes."""

from collections.abc import Callable

import numpy as np

from keras_frm.scenes.canvas import TRAIN_ID
from keras_frm.scenes.facade import facade, random_facade
from keras_frm.scenes.texture import fence, foliage, hedge, masonry, random_leaves
from keras_frm.scenes.view import UP, Item, View, clip_near

_NEAR = 1.0  # Metres; what is nearer is cut off.
_BUILDING, _WALL, _FENCE, _VEGETATION = (
    TRAIN_ID[name] for name in ("building", "wall", "fence", "vegetation")
)


def draw_building(view: View, item: Item) -> None:
    """Draw a block with textured fronts and a flat or pitched roof."""
    style = random_facade(view.rng, view.light.zenith)
    if view.rng.random() < item.kind:
        _draw_roof(view, item)

    def paint(rng, length, height, shape):
        return facade(rng, style, length, height, shape)

    _draw_sides(view, item, paint, _BUILDING)


def draw_wall(view: View, item: Item) -> None:
    """Draw a free-standing wall."""
    _draw_sides(view, item, masonry, _WALL)


def draw_fence(view: View, item: Item) -> None:
    """Draw a fence one can look through; its holes are labelled fence."""
    start, stop = _middle_line(item)
    _draw_plane(view, start, stop, item.height, fence, _FENCE)


def draw_hedge(view: View, item: Item) -> None:
    """Draw a clipped hedge."""
    start, stop = _middle_line(item)
    _draw_plane(view, start, stop, item.height, hedge, _VEGETATION, label_holes=False)


def draw_tree(view: View, item: Item) -> None:
    """Draw a trunk and a crown of a few clumps of leaves."""
    camera, light, rng = view.camera, view.light, view.rng
    if item.z < 1.5:
        return
    scale = camera.scale(item.z)
    foot = np.array([item.x, 0.0, item.z])
    radius = rng.uniform(0.1, 0.24)
    rise = item.base + 0.3 * (item.height - item.base)
    outline = [(-radius, 0), (-0.6 * radius, rise), (0.6 * radius, rise), (radius, 0)]
    bark = rng.uniform((58, 48, 38), (118, 106, 92))
    for share, shade in ((1.0, 1.0), (0.45, 0.7)):
        points = foot + np.array([(share * a + (1 - share) * 0.5 * radius, y, 0)
                                  for a, y in outline])  # fmt: skip
        colour = light.shade_upright(bark * shade, item.z)
        view.canvas.fill(camera.project(points), colour, _VEGETATION)
    tall = item.height - item.base
    size = 0.6 * scale * tall
    side = next((side for side in (16, 32, 64) if side > size), 128)
    leaves = random_leaves(rng)
    clumps = 1 + rng.integers(2) if side > 32 else 1
    for clump in range(clumps):
        tint = light.shade(leaves * rng.uniform(0.9, 1.1), 0.7 * UP, item.z)
        size = np.array([item.width, tall]) * (
            1.0 if clump == 0 else rng.uniform(0.5, 0.8)
        )
        shift = (clump > 0) * rng.uniform(-0.25, 0.25, 2) * (item.width, tall)
        rise = item.base + 0.5 * tall + shift[1]
        middle = camera.project(np.array([item.x + shift[0], rise, item.z]))
        half = 0.6 * scale * size  # The ellipse fills five sixths of the sprite.
        box = (*(middle - half), *(middle + half))
        view.canvas.stamp(foliage(rng, side, tint), box, _VEGETATION)


def _middle_line(item: Item) -> np.ndarray:
    """Return the ends, (2, 3), of the line along the middle of the footprint."""
    return item.place(np.array([[-0.5, 0, 0], [0.5, 0, 0]]) * item.length)


def _draw_sides(view: View, item: Item, paint: Callable, label: int) -> None:
    """Draw the sides of a box that face the camera, the far one first."""
    corners = item.footprint()
    middle = corners.mean(axis=0)
    sides = []
    for start, stop in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        centre = 0.5 * (start + stop)
        if np.dot(centre - middle, centre) < 0:  # The camera stands over the origin.
            sides.append((-centre[2], start, stop))
    for _, start, stop in sorted(sides, key=lambda side: side[0]):
        _draw_plane(view, start, stop, item.height, paint, label)


def _draw_plane(
    view: View,
    start,
    stop,
    height: float,
    paint: Callable,
    label: int,
    label_holes=True,
) -> None:
    """Draw a textured upright plane over the line from start to stop, (3,) each."""
    if start[2] > stop[2]:
        start, stop = stop, start
    if stop[2] <= _NEAR:
        return
    if start[2] < _NEAR:
        start = start + (_NEAR - start[2]) / (stop[2] - start[2]) * (stop - start)
    rise = height * UP
    quad = view.camera.project(np.array([start + rise, stop + rise, stop, start]))
    if max(quad[:, 0]) < 0 or min(quad[:, 0]) > view.canvas.width:
        return
    length = np.hypot(*(stop - start)[[0, 2]])
    extent = quad.max(axis=0) - quad.min(axis=0)  # pixels
    # Twice the pixels along: the near end is stretched at the cost of the far one.
    shape = int(min(max(1.2 * extent[1], 4), 110)), int(min(max(2 * extent[0], 4), 150))
    texture = paint(view.rng, length, height, shape)
    normal = np.array([start[2] - stop[2], 0.0, stop[0] - start[0]]) / max(length, 1e-6)
    normal *= -np.sign(normal @ start) or 1.0
    # Light and haze at texture size, where they cost least.
    depth = np.linspace(start[2], stop[2], texture.tones.shape[1])
    light = view.light
    lit = texture.lit(light.irradiance(normal), light.clearness(depth), light.skyline)
    view.canvas.warp(lit, quad, label, label_holes)


def _draw_roof(view: View, item: Item) -> None:
    """Draw a pitched roof with its ridge along the building."""
    rise = view.rng.uniform(0.25, 0.5) * item.width
    tiles = view.rng.choice([[120, 72, 58], [84, 80, 80], [104, 88, 76]])
    corners = item.footprint() + item.height * UP
    ridge = 0.5 * (corners[[0, 3]] + corners[[1, 2]]) + rise * UP  # near, far end
    if ridge[0, 2] > ridge[1, 2]:
        corners, ridge = corners[[3, 2, 1, 0]], ridge[::-1]
    normal = 0.8 * UP + 0.4 * np.array([-np.sign(item.x), 0, -0.5])
    for eave in (corners[[0, 3]], corners[[1, 2]]):
        polygon = clip_near(np.array([eave[0], eave[1], ridge[1], ridge[0]]), _NEAR)
        _draw_flat(view, polygon, tiles * 0.95, normal)
    gable = clip_near(np.array([corners[0], corners[1], ridge[0]]), _NEAR)
    _draw_flat(view, gable, tiles * 1.25, np.array([0, 0, -1.0]))


def _draw_flat(view: View, polygon: np.ndarray, rgb, normal) -> None:
    """Fill a world polygon, (k, 3), with one shaded colour."""
    if len(polygon) >= 3:
        colour = view.light.shade(rgb, normal, polygon[:, 2].mean())
        view.canvas.fill(view.camera.project(polygon), colour, _BUILDING)
