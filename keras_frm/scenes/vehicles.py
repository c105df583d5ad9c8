"""Cars, trucks, buses and trains of the synthetic scenes, as extruded outlines."""

from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from keras_frm.scenes.canvas import TRAIN_ID, fixed_point
from keras_frm.scenes.view import Item, View

# Outlines run from the rear underside forward and over the roof back. Coordinates are
# shares: along -0.5 (rear) .. 0.5 (front), up 0 .. 1. The role is that of the surface
# from this corner to the next.
_SEDAN = (
    (-0.5, 0.17, "under"), (0.49, 0.17, "front"), (0.5, 0.47, "bonnet"),
    (0.24, 0.62, "screen"), (0.07, 0.97, "roof"), (-0.2, 1.0, "screen"),
    (-0.36, 0.66, "bonnet"), (-0.5, 0.6, "rear"),
)  # fmt: skip
_HATCH = (
    (-0.5, 0.16, "under"), (0.49, 0.16, "front"), (0.5, 0.46, "bonnet"),
    (0.26, 0.6, "screen"), (0.06, 0.96, "roof"), (-0.36, 1.0, "screen"),
    (-0.49, 0.58, "rear"),
)  # fmt: skip
_VAN = (
    (-0.5, 0.14, "under"), (0.49, 0.14, "front"), (0.5, 0.44, "bonnet"),
    (0.38, 0.54, "screen"), (0.22, 0.97, "roof"), (-0.48, 1.0, "back"),
)  # fmt: skip
_BOX = ((-0.5, 0.1, "under"), (0.49, 0.1, "face"), (0.5, 0.98, "roof"),
        (-0.5, 1.0, "back"))  # fmt: skip
_CAB = ((0.24, 0.13, "under"), (0.5, 0.13, "front"), (0.5, 0.42, "screen"),
        (0.46, 0.8, "roof"), (0.24, 0.8, "plain"))  # fmt: skip
_CHASSIS = ((-0.48, 0.1, "under"), (0.22, 0.1, "plain"), (0.22, 0.24, "roof"),
            (-0.48, 0.24, "plain"))  # fmt: skip
_CARGO = ((-0.5, 0.22, "under"), (0.22, 0.22, "plain"), (0.22, 1.0, "roof"),
          (-0.5, 1.0, "cargo"))  # fmt: skip

_CAR_GLASS = (
    ((0.06, 0.64), (0.19, 0.64), (0.06, 0.92), (0.0, 0.93), (0.0, 0.64)),
    ((-0.03, 0.64), (-0.03, 0.93), (-0.2, 0.94), (-0.31, 0.66)),
)
_VAN_GLASS = (((0.18, 0.56), (0.33, 0.56), (0.2, 0.9), (0.18, 0.9)),)
_CAB_GLASS = (((0.33, 0.46), (0.48, 0.46), (0.45, 0.74), (0.33, 0.74)),)


def _windows(count: int, low: float, high: float) -> tuple:
    """Return a row of equal windows for the side of a bus."""
    edge = np.linspace(-0.48, 0.48, count + 1)
    return tuple(
        ((a + 0.006, low), (b - 0.006, low), (b - 0.006, high), (a + 0.006, high))
        for a, b in pairwise(edge)
    )


class Vehicle(NamedTuple):
    """A kind of vehicle; its bodies are (outline, side windows, paint)."""

    label: str
    size: tuple[float, float, float]  # length, width, height
    bodies: tuple
    wheels: tuple[float, ...]  # share of the length
    radius: float  # metres
    taper: float  # width of the roof as a share of that of the body


VEHICLES = {
    "sedan": Vehicle("car", (4.6, 1.82, 1.44), ((_SEDAN, _CAR_GLASS, "paint"),),
                     (-0.31, 0.3), 0.33, 0.76),
    "hatchback": Vehicle("car", (4.0, 1.76, 1.5), ((_HATCH, _CAR_GLASS, "paint"),),
                         (-0.32, 0.31), 0.31, 0.78),
    "suv": Vehicle("car", (4.6, 1.9, 1.72), ((_HATCH, _CAR_GLASS, "paint"),),
                   (-0.31, 0.31), 0.37, 0.82),
    "van": Vehicle("car", (5.1, 1.95, 2.1), ((_VAN, _VAN_GLASS, "paint"),),
                   (-0.32, 0.32), 0.34, 0.88),
    "truck": Vehicle("truck", (8.2, 2.45, 3.4),
                     ((_CHASSIS, (), "dark"), (_CARGO, (), "load"),
                      (_CAB, _CAB_GLASS, "paint")),
                     (-0.36, -0.24, 0.36), 0.48, 1.0),
    "bus": Vehicle("bus", (11.5, 2.5, 3.05),
                   ((_BOX, _windows(8, 0.42, 0.86), "paint"),),
                   (-0.28, 0.32), 0.48, 0.97),
    "train": Vehicle("train", (26.0, 2.6, 3.5),
                     ((_BOX, _windows(15, 0.45, 0.82), "paint"),), (), 0.4, 0.94),
}  # fmt: skip

# Marks on a surface: role, colour, share along it (from, to), share across (from, to).
_MARKS = (
    ("screen", "glass", (0.08, 0.92), (-0.9, 0.9)),
    ("front", "dark", (0.02, 0.3), (-0.95, 0.95)),
    ("front", "dark", (0.5, 0.78), (-0.5, 0.5)),
    ("front", "lamp", (0.6, 0.95), (-0.94, -0.62)),
    ("front", "lamp", (0.6, 0.95), (0.62, 0.94)),
    ("front", "plate", (0.22, 0.42), (-0.28, 0.28)),
    ("rear", "dark", (0.78, 1.0), (-0.95, 0.95)),
    ("rear", "tail", (0.08, 0.5), (-0.97, -0.68)),
    ("rear", "tail", (0.08, 0.5), (0.68, 0.97)),
    ("rear", "plate", (0.38, 0.62), (-0.27, 0.27)),
    ("back", "glass", (0.1, 0.48), (-0.85, 0.85)),
    ("back", "tail", (0.62, 0.82), (-0.98, -0.86)),
    ("back", "tail", (0.62, 0.82), (0.86, 0.98)),
    ("back", "dark", (0.92, 1.0), (-1, 1)),
    ("face", "glass", (0.38, 0.84), (-0.94, 0.94)),
    ("face", "board", (0.87, 0.96), (-0.6, 0.6)),
    ("face", "lamp", (0.1, 0.2), (-0.92, -0.66)),
    ("face", "lamp", (0.1, 0.2), (0.66, 0.92)),
    ("face", "dark", (0.0, 0.07), (-1, 1)),
    ("cargo", "seam", (0.02, 0.95), (-0.02, 0.02)),
    ("cargo", "tail", (0.95, 1.0), (-0.95, -0.7)),
    ("cargo", "tail", (0.95, 1.0), (0.7, 0.95)),
)
_SILVER_TO_BLACK = ((206, 208, 210), (158, 162, 166), (92, 95, 98), (26, 28, 32))


class _Face(NamedTuple):
    """One polygon of a vehicle: slice of its points, colour, surface it belongs to."""

    start: int
    stop: int
    colour: str
    surface: int


@cache
def _mesh(name: str) -> tuple[np.ndarray, tuple[_Face, ...]]:
    """Return a vehicle's points, (n, 3) metres along, across, up, and its faces."""
    vehicle = VEHICLES[name]
    length, width, height = vehicle.size
    points, faces, surface = [], [], 0

    def half_width(up):
        bend = 0.62 if vehicle.label == "car" else 0.4
        return 1 - (1 - vehicle.taper) * np.clip((up - bend) / (1 - bend), 0, 1)

    def add(polygon, colour):
        faces.append(_Face(len(points), len(points) + len(polygon), colour, surface))
        for along, across, up in polygon:
            points.append((along * length, across * half_width(up) * width / 2,
                           up * height))  # fmt: skip

    def strip(a, b, left, right):
        return [(*a[:1], left, a[1]), (*a[:1], right, a[1]),
                (*b[:1], right, b[1]), (*b[:1], left, b[1])]  # fmt: skip

    for outline, windows, paint in vehicle.bodies:
        corners = np.array([corner[:2] for corner in outline])
        for i, (_, _, role) in enumerate(outline):
            a, b = corners[i], corners[(i + 1) % len(corners)]
            add(strip(a, b, -1, 1), "dark" if role == "under" else paint)
            for where, colour, (low, high), (left, right) in _MARKS:
                if where == role:
                    span = strip(a + low * (b - a), a + high * (b - a), left, right)
                    add(span, colour)
            if vehicle.wheels and role in ("front", "rear", "back", "face", "cargo"):
                # Tyres show below the bumper.
                for side in (-0.78, 0.78):
                    low = np.array([0.86 * a[0] + 0.14 * b[0], 0.0])
                    high = np.array([low[0], min(a[1], b[1])])
                    add(strip(low, high, side - 0.12, side + 0.12), "tyre")
            surface += 1
        for side in (-1, 1):
            # Every polygon runs counterclockwise seen from outside, and turns that way
            # in its first corner, which tells its normal.
            ring = corners if side < 0 else np.roll(corners[::-1], 2, axis=0)
            add([(along, side, up) for along, up in ring], paint)
            for window in windows:
                add([(along, side, up) for along, up in window[::-side]], "glass")
            for middle in vehicle.wheels:
                if corners[:, 0].min() <= middle <= corners[:, 0].max():
                    for share, colour in ((1.0, "tyre"), (0.58, "hub")):
                        turn = -side * 2 * np.pi * np.arange(12) / 12
                        add(np.stack([
                            middle + share * vehicle.radius * np.cos(turn) / length,
                            np.full(12, 1.005 * side),
                            vehicle.radius * (1 + share * np.sin(turn)) / height,
                        ], axis=-1), colour)  # fmt: skip
            surface += 1
    mesh = np.array(points)
    mesh.setflags(write=False)
    return mesh, tuple(faces)


def draw_vehicle(view: View, item: Item) -> None:
    """Draw the vehicle that `item.kind` names."""
    mesh, faces = _mesh(item.kind)
    size = VEHICLES[item.kind].size
    world = item.place(mesh * np.divide((item.length, item.width, item.height), size))
    if world[:, 2].min() < 0.8:
        return
    pixels = fixed_point(view.camera.project(world))
    first = np.array([face.start for face in faces])
    normals = np.cross(
        world[first + 1] - world[first], world[first + 2] - world[first + 1]
    )
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    eye = np.array([0.0, view.camera.height, 0.0])
    facing = ((world[first] - eye) * normals).sum(axis=1) < 0
    palette = _palette(view)
    colours = view.light.shade(
        np.array([palette[face.colour] for face in faces]), normals, world[first, 2]
    )
    # The first face of a surface tells its depth and whether it is seen at all.
    count = np.diff(first, append=len(world))
    depth = np.add.reduceat(world[:, 2], first) / count
    leader = {face.surface: i for i, face in reversed(list(enumerate(faces)))}
    label = TRAIN_ID[VEHICLES[item.kind].label]
    small = view.camera.scale(item.z) * item.height < 16
    for i in sorted(range(len(faces)), key=lambda i: -depth[leader[faces[i].surface]]):
        face = faces[i]
        detail = face.colour in ("plate", "hub", "seam", "board")
        if facing[leader[face.surface]] and not (small and detail):
            view.canvas.fill_fixed([pixels[face.start : face.stop]], colours[i], label)


def _palette(view: View) -> dict[str, np.ndarray]:
    """Draw the colours of one vehicle."""
    rng, light = view.rng, view.light
    neutral = np.array(_SILVER_TO_BLACK[rng.integers(4)]) * rng.uniform(0.85, 1.15)
    bright = rng.uniform(15, 215, 3)
    mirror = rng.uniform(0.08, 0.5)
    paint = neutral if rng.random() < 0.6 else bright
    return {
        "paint": paint,
        "load": rng.uniform(60, 225) * rng.uniform(0.8, 1.1, 3),
        "glass": np.array([28, 32, 38]) * (1 - mirror) + light.zenith * mirror,
        "dark": paint * 0.12 + 20,
        "tyre": np.full(3, 24.0),
        "hub": np.full(3, rng.uniform(70, 170)),
        "lamp": np.full(3, rng.uniform(170, 250)),
        "tail": np.array([rng.uniform(130, 235), 26, 28]),
        "plate": np.array([210, 208, 196]),
        "board": np.array([214, 150, 40]),
        "seam": np.full(3, 60.0),
    }
