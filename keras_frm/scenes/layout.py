"""What stands where in a synthetic street scene."""

from typing import NamedTuple

import numpy as np

from keras_frm.scenes.furniture import (
    draw_bare_pole,
    draw_lamp_post,
    draw_sign,
    draw_signal,
)
from keras_frm.scenes.ground import Band, Street
from keras_frm.scenes.structures import (
    draw_building,
    draw_fence,
    draw_hedge,
    draw_tree,
    draw_wall,
)
from keras_frm.scenes.traffic import random_lanes, sidewalk_life, traffic
from keras_frm.scenes.view import Item, Road
from keras_frm.scenes.weighted import random_row

_LAST = 95.0  # Metres; what is farther is left to the skyline.


class District(NamedTuple):
    """What streets in a part of town are like; shares in 0..1, lengths in metres."""

    weight: float
    lanes: tuple[int, int]  # of both directions together, fewest and most
    parking: float  # share of the kerb with a parking lane
    verge: float  # share with grass between road and sidewalk
    walk: tuple[float, float]  # width of the sidewalk
    setback: tuple[float, float]  # from the sidewalk to the houses
    frontage: dict[str, float]  # weights of what stands along the sidewalk
    height: tuple[float, float]  # of the houses
    pitched: float  # share of pitched roofs
    trees: float  # trees along the kerb in 10 m
    people: float  # persons on a side
    traffic: float  # gap between moving vehicles
    heavy: float  # share of trucks and buses among them
    greenness: float  # share of trees in the skyline


_DISTRICTS = (
    District(0.34, (2, 4), 0.7, 0.1, (2, 4.5), (0, 0.5),
             {"building": 0.88, "wall": 0.05, "fence": 0.04, "open": 0.03},
             (9, 24), 0.3, 0.25, 4.5, 22, 0.09, 0.25),  # inner city
    District(0.2, (2, 4), 0.5, 0.6, (2.5, 5), (2, 8),
             {"building": 0.6, "wall": 0.08, "fence": 0.1, "hedge": 0.12, "open": 0.1},
             (8, 20), 0.4, 0.8, 3.0, 24, 0.1, 0.5),  # boulevard
    District(0.22, (2, 2), 0.5, 0.35, (1.4, 2.6), (4, 10),
             {"fence": 0.25, "hedge": 0.28, "wall": 0.14, "open": 0.23,
              "building": 0.1},
             (4.5, 8), 0.9, 0.45, 1.2, 34, 0.06, 0.75),  # suburb
    District(0.12, (2, 4), 0.25, 0.4, (1.5, 3), (6, 16),
             {"wall": 0.3, "fence": 0.32, "building": 0.2, "open": 0.18},
             (6, 13), 0.1, 0.25, 0.9, 24, 0.3, 0.4),  # industry
    District(0.12, (2, 4), 0.05, 0.9, (1.5, 2.5), (14, 40),
             {"open": 0.6, "hedge": 0.14, "fence": 0.16, "wall": 0.1},
             (4.5, 9), 0.8, 0.7, 0.6, 36, 0.14, 0.93),  # edge of town
)  # fmt: skip
_BARRIERS = {  # what: drawing function, lowest and highest, thickness
    "wall": (draw_wall, (0.9, 2.6), 0.3),
    "fence": (draw_fence, (0.9, 1.9), 0.1),
    "hedge": (draw_hedge, (0.9, 2.2), 0.9),
}
# weight, drawing function, heights, thickness: what stands at the kerb
_POSTS = (
    (0.38, draw_lamp_post, (5.5, 9.0), 0.16),
    (0.32, draw_sign, (2.4, 3.4), 0.3),
    (0.14, draw_bare_pole, (0.9, 1.1), 0.14),
    (0.16, draw_bare_pole, (6.0, 9.0), 0.26),
)


class Layout(NamedTuple):
    """A furnished street: its course, its ground, the items, the skyline's trees."""

    road: Road
    street: Street
    items: list[Item]
    greenness: float


def random_layout(rng: np.random.Generator) -> Layout:
    """Draw a district and furnish a street of it."""
    district = random_row(rng, _DISTRICTS)
    lanes = random_lanes(rng, district.lanes, district.parking)
    road = Road(
        offset=-lanes.camera,
        slope=float(np.tan(np.radians(rng.normal(0, 1.6)))),
        curvature=float(np.clip(rng.normal(0, 1 / 380), -1 / 140, 1 / 140)),
    )
    crossing = None
    if rng.random() < 0.42:
        start = rng.uniform(11, 50)
        crossing = (start, start + rng.uniform(6, 12))
    bands, items = [], []
    for edge in (lanes.start, lanes.stop):
        side_bands, walk, front = _cross_section(rng, district, edge)
        bands += side_bands
        items += _frontage(rng, district, road, walk[1], front, crossing)
        items += _kerbside(rng, district, road, edge, crossing)
        items += sidewalk_life(rng, road, walk, district.people)
    surface = rng.choice(["asphalt", "concrete", "cobbles"], p=[0.78, 0.12, 0.1])
    street = Street(
        bands=tuple(bands),
        road=Band(lanes.start, lanes.stop, str(surface)),
        lines=lanes.lines,
        crossing=crossing,
        tracks=lanes.tracks,
    )
    items += traffic(rng, road, lanes, crossing, district.traffic, district.heavy)
    return Layout(road, street, items, district.greenness)


def _cross_section(rng: np.random.Generator, district: District, edge: float):
    """Draw one side: its bands, (inner, outer) of the walk, the line of houses."""
    side = np.sign(edge)
    yard = rng.choice(["grass", "meadow", "dirt", "paving"], p=[0.5, 0.18, 0.12, 0.2])
    if district.setback[1] < 1:
        yard = "paving"
    bands = [Band(edge, edge + side * 300, str(yard))]
    inner = edge
    if rng.random() < district.verge:
        inner = edge + side * rng.uniform(1.0, 3.5)
        bands.append(Band(edge, inner, "grass"))
    walk = rng.uniform(*district.walk)
    paving = rng.choice(["paving", "clinker", "tarmac"], p=[0.55, 0.15, 0.3])
    bands.append(Band(inner, inner + side * walk, str(paving)))
    bands.append(Band(edge, edge + side * 0.18, "kerb"))
    outer = inner + side * walk
    return bands, (inner, outer), outer + side * rng.uniform(*district.setback)


def _frontage(rng, district, road, walk_end, front, crossing) -> list[Item]:
    """Line up houses, walls, fences, hedges and gaps behind a sidewalk."""
    side = np.sign(walk_end)
    kinds = list(district.frontage)
    weights = np.array(list(district.frontage.values()))
    items, z = [], rng.uniform(-8, 0)
    while z < _LAST:
        kind = kinds[rng.choice(len(kinds), p=weights / weights.sum())]
        length = rng.uniform(9, 26)
        if crossing and z + length > crossing[0] - 3 and z < crossing[1] + 3:
            length = crossing[0] - 3 - z
            if length < 4:
                z = crossing[1] + 3
                continue
        stop = z + length
        if kind in _BARRIERS:
            draw, heights, thickness = _BARRIERS[kind]
            line = walk_end + side * 0.3
            box = (thickness, rng.uniform(*heights))
            item = _along(road, draw, line, z, stop, *box, order=stop)
            items.append(item._replace(solid=float(kind == "wall")))
        if kind == "building" or rng.random() < 0.45:
            # A house behind a barrier keeps some distance.
            line = front if kind == "building" else front + side * rng.uniform(3, 9)
            box = (rng.uniform(7, 14), rng.uniform(*district.height))
            item = _along(road, draw_building, line, z, stop, *box, order=stop + 0.6)
            items.append(item._replace(kind=district.pitched, solid=1.0))
        if kind != "building" and z < 65:
            for share in np.sort(
                rng.random(rng.poisson(0.8 + 1.4 * district.greenness))
            ):
                place = walk_end + side * rng.uniform(1.5, 12)
                tree = _tree(rng, road, place, z + share * length)
                items.append(tree._replace(depth=stop + 0.1 + 0.4 * share))
        z = stop + (rng.uniform(0, 5) if rng.random() < 0.3 else 0)
    return items


def _kerbside(rng, district, road, edge, crossing) -> list[Item]:
    """Line up trees, lamps, signs, masts and traffic lights along a kerb."""
    side = np.sign(edge)
    items = []
    if rng.random() < 0.25 + 0.7 * district.trees:
        z = rng.uniform(4, 14)
        while z < 60:
            items.append(_tree(rng, road, edge + side * rng.uniform(0.8, 1.4), z))
            z += 10 / district.trees * rng.uniform(0.5, 1.4)
    z = rng.uniform(5, 16)
    while z < 70:
        _, draw, heights, width = random_row(rng, _POSTS)
        line = edge + side * rng.uniform(0.35, 0.8)
        items.append(_post(road, draw, line, z, rng.uniform(*heights), width))
        z += rng.uniform(5, 22)
    ends = (
        (crossing[0] - 2.0, crossing[1] + 1.5) if crossing else (rng.uniform(12, 40),)
    )
    for z in ends:
        if rng.random() < (0.7 if crossing else 0.12):
            height = rng.choice([3.3, 5.4], p=[0.65, 0.35])
            item = _post(road, draw_signal, edge + side * 0.6, z, height, 0.3)
            turned = "away" if rng.random() < 0.25 else "facing"
            items.append(item._replace(kind=turned))
    return items


def _along(road, draw, line, start, stop, width, height, order) -> Item:
    """Place a box along the road; `line` is its border that faces the road."""
    ends = road.ground(line, np.array([start, stop]))
    heading = float(np.arctan2(ends[1, 0] - ends[0, 0], stop - start))
    middle = ends.mean(axis=0) + 0.5 * width * np.sign(line) * np.array(
        [np.cos(heading), 0, -np.sin(heading)]
    )
    length = float(np.hypot(ends[1, 0] - ends[0, 0], stop - start))
    return Item(draw, middle[0], middle[2], heading, length, width, height, order)


def _post(road, draw, line, z, height, width) -> Item:
    """Place something slim that faces the camera."""
    return Item(draw, road.middle(z) + line, z, 0.0, width, width, height, z)


def _tree(rng, road, line, z) -> Item:
    """Place a tree; its crown casts the shadow."""
    height = rng.uniform(5, 11)
    width = height * rng.uniform(0.45, 0.75)
    return Item(
        draw_tree, road.middle(z) + line, z, 0.0, width, width, height, z,
        base=rng.uniform(0.22, 0.36) * height,
    )  # fmt: skip
