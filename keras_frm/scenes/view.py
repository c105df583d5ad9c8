"""Camera, course of the road and things on it: how a synthetic scene is seen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from keras_frm.scenes.canvas import Canvas
from keras_frm.scenes.light import Light

UP = np.array([0.0, 1.0, 0.0])
FORWARD = np.array([0.0, 0.0, 1.0])
_ARC = 120.0  # Metres of road that bend; beyond them it is straight.


@dataclass(frozen=True)
class Camera:
    """A pinhole camera over flat ground; x is right, y is up, z is forward, metres.

    Args:
        focal: Focal length, canvas pixels.
        centre: Column of the principal point.
        horizon: Row of the horizon; a small pitch is a shift of it.
        height: Height of the camera over the ground, metres.
        nearest: Distance of the ground seen in the bottom row, metres.
    """

    focal: float
    centre: float
    horizon: float
    height: float
    nearest: float

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project world points, (..., 3) metres, to canvas pixels, (..., 2)."""
        scale = self.focal / np.maximum(points[..., 2], 0.05)
        out = np.empty((*points.shape[:-1], 2))
        out[..., 0] = self.centre + scale * points[..., 0]
        out[..., 1] = self.horizon + scale * (self.height - points[..., 1])
        return out

    def scale(self, depth: float) -> float:
        """Return the canvas pixels that one metre covers at a distance."""
        return self.focal / max(depth, 0.05)


@dataclass(frozen=True)
class Road:
    """The course of the road's middle: an arc, straight on after `_ARC` metres."""

    offset: float
    slope: float
    curvature: float

    def middle(self, z):
        """Return x of the road's middle at distance z, metres."""
        bent = np.minimum(z, _ARC)
        return self.offset + self.slope * z + self.curvature * bent * (z - 0.5 * bent)

    def heading(self, z: float) -> float:
        """Return the road's direction at distance z, radians to the right of z."""
        return float(np.arctan(self.slope + self.curvature * min(z, _ARC)))

    def ground(self, s, z) -> np.ndarray:
        """Return the points, (..., 3), s metres right of the middle at distance z."""
        s, z = np.broadcast_arrays(s, z)
        return np.stack([self.middle(z) + s, np.zeros(z.shape), z], axis=-1)


def random_camera(rng: np.random.Generator, canvas: Canvas) -> Camera:
    """Draw height, focal length and pitch of a camera behind a windscreen."""
    focal = canvas.width * rng.uniform(0.55, 1.0)
    pitch = np.radians(rng.normal(2.0, 1.5))
    horizon = np.clip(0.5 * canvas.height - focal * np.tan(pitch),
                      0.28 * canvas.height, 0.6 * canvas.height)  # fmt: skip
    height = rng.choice([rng.uniform(1.15, 1.7), rng.uniform(1.8, 2.6)], p=[0.8, 0.2])
    return Camera(
        focal=focal,
        centre=0.5 * canvas.width - 0.5,
        horizon=float(horizon),
        height=float(height),
        nearest=float(focal * height / (canvas.height - horizon)),
    )


@dataclass(frozen=True)
class View:
    """What every drawing function is given.

    Args:
        canvas: Where to draw.
        camera: From where the scene is seen.
        road: The course of the road.
        light: The light on it.
        rng: The scene's only source of randomness.
    """

    canvas: Canvas
    camera: Camera
    road: Road
    light: Light
    rng: np.random.Generator


class Item(NamedTuple):
    """One thing in the scene: an oriented box on the ground and who draws it.

    Args:
        draw: Called with the view and the item.
        x: Middle of the footprint, metres to the right.
        z: Middle of the footprint, metres ahead.
        heading: Direction of its length, radians to the right of z.
        length: Along the heading, metres.
        width: Across the heading, metres.
        height: Over the ground, metres.
        depth: Order of drawing; the largest comes first.
        base: Height from which it casts a shadow, metres.
        solid: Share of its height up to which it hides what is behind.
        kind: Whatever its drawing function needs to know.
    """

    draw: Callable[["View", "Item"], None]
    x: float
    z: float
    heading: float
    length: float
    width: float
    height: float
    depth: float
    base: float = 0.0
    solid: float = 0.0
    kind: Any = None

    def place(self, local: np.ndarray) -> np.ndarray:
        """Move points (..., 3) of along, across to the right and up into the world."""
        sine, cosine = np.sin(self.heading), np.cos(self.heading)
        along, across = local[..., 0], local[..., 1]
        world = np.empty(local.shape)
        world[..., 0] = self.x + along * sine + across * cosine
        world[..., 1] = local[..., 2]
        world[..., 2] = self.z + along * cosine - across * sine
        return world

    def footprint(self) -> np.ndarray:
        """Return the corners on the ground, (4, 3)."""
        half = 0.5 * np.array([self.length, self.width, 0.0])
        signs = np.array([[-1, -1, 0], [-1, 1, 0], [1, 1, 0], [1, -1, 0]])
        return self.place(signs * half)


def clip_near(points: np.ndarray, near: float) -> np.ndarray:
    """Cut a polygon, (k, 3), at a distance; what is left has 0 to k + 1 corners."""
    if points[:, 2].min() >= near:
        return points
    kept = []
    for here, there in zip(points, np.roll(points, -1, axis=0), strict=True):
        if here[2] >= near:
            kept.append(here)
        if (here[2] >= near) != (there[2] >= near):
            share = (near - here[2]) / (there[2] - here[2])
            kept.append(here + share * (there - here))
    return np.array(kept).reshape(-1, 3)
