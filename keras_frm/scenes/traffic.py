"""Lanes of the synthetic scenes and who is on the move or parked there."""

from typing import NamedTuple

import numpy as np

from keras_frm.scenes.people import draw_person, draw_two_wheeler
from keras_frm.scenes.vehicles import VEHICLES, draw_vehicle
from keras_frm.scenes.view import Item, Road

_CARS = ("sedan", "hatchback", "suv", "van")
_CAR_WEIGHTS = (0.32, 0.34, 0.22, 0.12)
_TWO_WHEELERS = {"bicycle": (1.75, 0.55, 1.75), "motorcycle": (2.1, 0.8, 1.65)}


class Lane(NamedTuple):
    """A lane: its middle, metres right of the road's, and what runs on it."""

    middle: float
    oncoming: bool
    tracks: bool


class Lanes(NamedTuple):
    """The roadway from `start` to `stop` and how it is divided; metres."""

    start: float
    stop: float
    moving: tuple[Lane, ...]
    parking: tuple[float, ...]
    lines: tuple[tuple[float, float, float], ...]
    tracks: tuple[float, ...]
    camera: float


def random_lanes(rng: np.random.Generator, count: tuple[int, int], parking: float):
    """Divide a roadway for traffic on the right.

    Args:
        rng: Source of randomness.
        count: Fewest and most lanes of both directions together.
        parking: Probability of a parking lane on a side.
    """
    half = rng.integers(count[0] // 2, count[1] // 2 + 1)
    width = rng.uniform(2.9, 3.6)
    has_tracks = bool(half > 1 and rng.random() < 0.25)
    moving = [
        Lane(side * (i + 0.5) * width, side < 0, has_tracks and i == 0)
        for side in (-1, 1)
        for i in range(half)
    ]
    edges, parked = {}, []
    for side in (-1, 1):
        edges[side] = side * (half * width + 0.25)
        if rng.random() < parking:
            parked.append(edges[side] + side * 1.1)
            edges[side] += side * 2.2
    lines = []
    if rng.random() < 0.75:
        dash = (0.0, 0.0) if rng.random() < 0.3 else (3.0, rng.uniform(3, 6))
        lines.append((0.0, *dash))
        inner = [side * i * width for side in (-1, 1) for i in range(1, half)]
        lines += [(position, 3.0, 6.0) for position in inner]
    if rng.random() < 0.4:
        lines += [(side * (half * width + 0.1), 0.0, 0.0) for side in (-1, 1)]
    camera = rng.choice([lane.middle for lane in moving if not lane.oncoming])
    return Lanes(
        start=edges[-1],
        stop=edges[1],
        moving=tuple(moving),
        parking=tuple(parked),
        lines=tuple(lines),
        tracks=tuple(lane.middle for lane in moving if lane.tracks),
        camera=float(camera + rng.normal(0, 0.25)),
    )


def traffic(
    rng: np.random.Generator,
    road: Road,
    lanes: Lanes,
    crossing: tuple[float, float] | None,
    gap: float,
    heavy: float,
) -> list[Item]:
    """Fill the lanes with moving and parked vehicles.

    Args:
        rng: Source of randomness.
        road: The course of the road.
        lanes: Its lanes.
        crossing: Near and far edge of a crossing street, metres ahead, if any.
        gap: Mean gap between moving vehicles, metres.
        heavy: Share of trucks and buses among them.
    """
    items = []
    for lane in lanes.moving:
        ahead = abs(lane.middle - lanes.camera) < 1.5
        z = (7.0 if ahead else 4.0) + rng.exponential(0.6 * gap)
        while z < 85:
            name = _random_vehicle(rng, heavy)
            if lane.tracks and rng.random() < 0.25:
                name = "train"
            turn = np.pi if lane.oncoming else 0.0
            item = _vehicle(rng, road, name, lane.middle + rng.normal(0, 0.2), z, turn)
            items.append(item)
            z += item.length + 3.0 + rng.exponential(gap)
    for middle in lanes.parking:
        z = rng.uniform(2, 12)
        side = np.sign(middle)
        turn = np.pi if side < 0 else 0.0
        occupied = rng.uniform(0.3, 0.95)
        while z < 60:
            blocked = crossing and crossing[0] - 8 < z < crossing[1] + 2
            step = 6.0
            if rng.random() < occupied and not blocked:
                name = _random_vehicle(rng, 0.25 * heavy, two_wheelers=0.04)
                item = _vehicle(rng, road, name, middle, z, turn, ridden=False)
                items.append(item)
                step = item.length + rng.uniform(0.6, 1.6)
            z += step
    if crossing:
        for share, turn in ((0.7, -0.5 * np.pi), (0.3, 0.5 * np.pi)):
            if rng.random() < 0.35:
                name = (
                    "train" if rng.random() < 0.08 else _random_vehicle(rng, 2 * heavy)
                )
                z = crossing[0] + share * (crossing[1] - crossing[0])
                across = rng.uniform(-0.3, 0.3) * z
                items.append(_vehicle(rng, road, name, across, z, turn, across=True))
    return items


def sidewalk_life(
    rng: np.random.Generator, road: Road, walk: tuple[float, float], people: float
) -> list[Item]:
    """Put persons and parked two-wheelers on a sidewalk.

    Args:
        rng: Source of randomness.
        road: The course of the road.
        walk: Inner and outer edge of the sidewalk, metres right of the road's middle.
        people: Mean number of persons.
    """
    items = []
    for _ in range(rng.poisson(people)):
        z = rng.uniform(5, 14) if rng.random() < 0.3 else rng.uniform(9, 55)
        # Some have just stepped on the road.
        line = walk[0] + rng.uniform(-0.25, 0.95) * (walk[1] - walk[0])
        along = rng.choice([0, np.pi]) + rng.normal(0, 0.3)
        heading = along if rng.random() < 0.65 else rng.uniform(0, 2 * np.pi)
        for neighbour in range(1 + (rng.random() < 0.25)):
            height = (
                rng.uniform(1.5, 1.92) if rng.random() < 0.9 else rng.uniform(0.9, 1.4)
            )
            x = road.middle(z) + line + 0.6 * neighbour
            items.append(Item(draw_person, x, z, heading, 0.45, 0.45, height, z))
    for name, mean in (("bicycle", 0.45), ("motorcycle", 0.07)):
        for _ in range(rng.poisson(mean)):
            z = rng.uniform(5, 30)
            line = walk[0] + rng.uniform(0.1, 0.5) * (walk[1] - walk[0])
            turn = rng.choice([0.0, 0.5 * np.pi, np.pi]) + rng.normal(0, 0.25)
            items.append(_vehicle(rng, road, name, line, z, turn, ridden=False))
    return items


def _random_vehicle(rng, heavy: float, two_wheelers: float = 0.1) -> str:
    """Draw what kind of vehicle comes next."""
    draw = rng.random()
    if draw < heavy:
        return "truck" if rng.random() < 0.6 else "bus"
    if draw < heavy + two_wheelers:
        return "bicycle" if rng.random() < 0.65 else "motorcycle"
    return str(rng.choice(_CARS, p=_CAR_WEIGHTS))


def _vehicle(
    rng,
    road: Road,
    name: str,
    line: float,
    z: float,
    turn: float,
    ridden=True,
    across=False,
) -> Item:
    """Place a vehicle whose near end is at z; one that crosses has its middle there."""
    size = _TWO_WHEELERS.get(name) or VEHICLES[name].size
    length, width, height = np.array(size) * rng.uniform(0.94, 1.08)
    middle = z if across or name in _TWO_WHEELERS else z + 0.5 * length
    heading = road.heading(middle) + turn + rng.normal(0, 0.02)
    two_wheeled = name in _TWO_WHEELERS
    return Item(
        draw=draw_two_wheeler if two_wheeled else draw_vehicle,
        x=float(road.middle(middle) + line),
        z=float(middle),
        heading=heading,
        length=length,
        width=width,
        height=height,
        # Whoever walks beside a long vehicle is seen before or after, not through it.
        depth=z + (0.0 if across else 0.3 * length),
        # Only below the windows: a car is narrower above.
        solid=0.0 if two_wheeled else 0.55,
        kind=(name, ridden) if two_wheeled else name,
    )
