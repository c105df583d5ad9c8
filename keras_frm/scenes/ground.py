"""The ground of the synthetic scenes: road, sidewalks, verges and their light."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from keras_frm.scenes.canvas import SUPERSAMPLING, TRAIN_ID
from keras_frm.scenes.texture import noise_patch, noise_tile
from keras_frm.scenes.view import UP, Item, View, clip_near

_ROAD, _SIDEWALK, _TERRAIN = (TRAIN_ID[n] for n in ("road", "sidewalk", "terrain"))
_FAR = 600.0  # Metres; the ground ends at the horizon for all one can see.

# surface -> train id, darkest and lightest RGB
_SURFACES = {
    "asphalt": (_ROAD, (62, 63, 66), (122, 120, 118)),
    "concrete": (_ROAD, (118, 116, 112), (160, 156, 148)),
    "cobbles": (_ROAD, (84, 80, 78), (128, 122, 116)),
    "kerb": (_SIDEWALK, (120, 120, 118), (176, 174, 168)),
    "paving": (_SIDEWALK, (88, 87, 86), (172, 168, 160)),
    "clinker": (_SIDEWALK, (118, 84, 74), (156, 116, 100)),
    "tarmac": (_SIDEWALK, (68, 68, 70), (116, 114, 112)),
    "grass": (_TERRAIN, (58, 78, 36), (118, 128, 66)),
    "meadow": (_TERRAIN, (110, 108, 60), (158, 148, 96)),
    "dirt": (_TERRAIN, (98, 82, 62), (146, 128, 102)),
}
# How strongly the texture of a class shows: sidewalk and road alike, grass more.
_AMPLITUDE = np.zeros(256, np.float32)
_AMPLITUDE[[_ROAD, _SIDEWALK, _TERRAIN]] = 0.065, 0.06, 0.17


class Band(NamedTuple):
    """A strip along the road from `start` to `stop`, metres right of its middle."""

    start: float
    stop: float
    surface: str


class Street(NamedTuple):
    """What lies on the ground.

    Args:
        bands: Strips beside the road, each painted over those before it.
        road: The roadway itself.
        lines: Lane borders: position, dash length, gap length (0 is a solid line).
        crossing: Near and far edge of a crossing street, metres ahead, if any.
        tracks: Middles of the tram tracks.
    """

    bands: tuple[Band, ...]
    road: Band
    lines: tuple[tuple[float, float, float], ...]
    crossing: tuple[float, float] | None
    tracks: tuple[float, ...]


def draw_ground(view: View, street: Street) -> None:
    """Paint the unlit surfaces and what is marked on them."""
    near = 0.9 * view.camera.nearest
    colours = {
        name: view.rng.uniform(low, high)
        if name == "grass"
        else np.array(low) + view.rng.random() * np.subtract(high, low)
        for name, (_, low, high) in _SURFACES.items()
    }
    for band in street.bands:
        _strip(view, band.start, band.stop, near, _FAR, *_paint(band.surface, colours))
        if band.surface in ("paving", "clinker"):
            _joints(view, band, colours[band.surface] * 0.84)
    if street.crossing:
        z0, z1 = street.crossing
        walk = _paint("paving", colours)
        for start, stop in ((-300, street.road.start), (street.road.stop, 300)):
            _strip(view, start, stop, max(z0 - 2.5, near), z1 + 2.5, *walk)
        asphalt = _paint(street.road.surface, colours)
        _strip(view, -300, 300, max(z0, near), z1, *asphalt)
    colour, label = _paint(street.road.surface, colours)
    _strip(view, street.road.start, street.road.stop, near, _FAR, colour, label)
    _blemishes(view, street.road, colour)
    _markings(view, street)


def light_ground(view: View, items: Sequence[Item]) -> None:
    """Give the painted ground texture, light, shadows and haze."""
    camera, light, rng = view.camera, view.light, view.rng
    top = int(camera.horizon) // SUPERSAMPLING * SUPERSAMPLING + SUPERSAMPLING
    region = view.canvas.pixels[top:]
    rows, columns = (side // SUPERSAMPLING for side in region.shape[:2])
    row = top + SUPERSAMPLING * (np.arange(rows) + 0.5)
    depth = camera.focal * camera.height / np.maximum(row - camera.horizon, 0.5)
    column = SUPERSAMPLING * (np.arange(columns) + 0.5) - camera.centre

    amplitude = _AMPLITUDE[region[::SUPERSAMPLING, ::SUPERSAMPLING, 3]]
    texture = _ground_noise(rng, depth, column / camera.focal)
    texture *= amplitude * float(rng.uniform(0.6, 1.5))
    contact, cast = _shadows(view, items, (rows, columns), top)
    open_sky = (1 + texture) * (1 - 0.55 * contact)
    sunny = float(light.sun[1]) * (1 - cast) * open_sky
    clear = light.clearness(depth).astype(np.float32)[:, None]
    open_sky *= 128 * clear
    sunny *= 128 * clear
    ambient = light.irradiance(UP) - light.sunlight * max(light.sun[1], 0)
    planes = []
    for channel in range(3):
        factor = open_sky * float(ambient[channel])
        factor += sunny * float(light.sunlight[channel])
        planes.append(np.minimum(factor, 255).astype(np.uint8))
    # 128 in the fourth channel multiplies the label by exactly one.
    planes.append(np.full((rows, columns), 128, np.uint8))
    gain = cv2.resize(
        cv2.merge(planes), region.shape[1::-1], interpolation=cv2.INTER_NEAREST
    )
    haze = np.zeros((rows, 1, 4), np.uint8)
    haze[:, 0, :3] = light.skyline * (1 - clear)
    haze = cv2.resize(haze, region.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    lit = cv2.multiply(region, gain, scale=1 / 128)
    cv2.add(lit, haze, dst=region)


def _paint(surface: str, colours: dict) -> tuple[np.ndarray, int]:
    """Return colour and train id of a surface."""
    return colours[surface], _SURFACES[surface][0]


def _strip(view: View, start, stop, near, far, colour, label) -> None:
    """Fill the ground between two lines along the road and two distances."""
    if near >= far:
        return
    z = np.geomspace(near, far, 28 if far > 60 else 8)
    border = np.concatenate(
        [view.road.ground(start, z), view.road.ground(stop, z)[::-1]]
    )
    view.canvas.fill(view.camera.project(border), colour, label)


def _joints(view: View, band: Band, colour: np.ndarray) -> None:
    """Draw the joints across a paved sidewalk."""
    z = np.arange(np.ceil(view.camera.nearest), 22, view.rng.choice([0.5, 1.0, 2.0]))
    lines = view.road.ground(np.array([band.start, band.stop]), z[:, None])  # (n, 2, 3)
    if len(z):
        view.canvas.stroke(view.camera.project(lines), colour, _SIDEWALK, 1)


def _blemishes(view: View, road: Band, colour: np.ndarray) -> None:
    """Scatter patches of other asphalt, manholes and worn tracks over the road."""
    rng = view.rng
    for _ in range(rng.integers(0, 7)):
        z = view.camera.nearest + rng.exponential(12)
        length, width = rng.choice(
            [(0.6, 0.6), (rng.uniform(1, 9), rng.uniform(0.5, 3))]
        )
        start = rng.uniform(road.start, max(road.stop - width, road.start))
        stop = min(start + width, road.stop)
        shade = rng.choice([0.62, 0.85, 1.12])
        _strip(view, start, stop, z, z + length, colour * shade, _ROAD)


def _markings(view: View, street: Street) -> None:
    """Draw lane borders, stop lines, zebra crossings and tram tracks."""
    rng, road = view.rng, street.road
    paint = np.full(3, rng.uniform(150, 235))
    yellow = paint * np.array([1.0, 0.8, 0.35])
    near = 0.9 * view.camera.nearest
    for middle in street.tracks:
        for rail in (middle - 0.72, middle + 0.72):
            _strip(view, rail - 0.05, rail + 0.05, near, 200, np.full(3, 70.0), _ROAD)
    centre_colour = yellow if rng.random() < 0.2 else paint
    for position, dash, gap in street.lines:
        colour = centre_colour if abs(position) < 0.3 else paint
        left, right = position - 0.08, position + 0.08
        if not gap:
            _strip(view, left, right, near, 200, colour, _ROAD)
            continue
        z = np.arange(rng.uniform(0, dash + gap), 90, dash + gap)
        z = z[z > near][:, None]
        if len(z):
            corners = view.road.ground(
                np.array([left, left, right, right]),
                z + np.array([0.0, dash, dash, 0.0]),
            )  # (n, 4, 3)
            view.canvas.fill(view.camera.project(corners), colour, _ROAD)
    for z0 in street.crossing or ():
        z = z0 - 3.5 if z0 == street.crossing[0] else z0 + 1.0
        if z > near and rng.random() < 0.7:
            left = np.arange(road.start + 0.4, road.stop - 0.5, 1.0)[:, None]
            corners = view.road.ground(
                left + np.array([0.0, 0.0, 0.5, 0.5]),
                z + np.array([0.0, 2.5, 2.5, 0.0]),
            )
            view.canvas.fill(view.camera.project(corners), paint, _ROAD)


def _ground_noise(rng, depth: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Sample noise that lies on the ground, (rows, columns), fading with distance."""
    texel = 0.06  # metres
    depth, slope = depth.astype(np.float32), slope.astype(np.float32)
    across, along = (int(start) for start in rng.integers(256, size=2))
    columns = (depth[:, None] * slope / texel).astype(np.int32) + across
    rows = (depth / texel).astype(np.int32)[:, None] + along
    coarse = noise_tile(1.0)[rows % 256, columns % 256]
    grain = noise_patch(rng, coarse.shape, 0.3)
    # Far away a pixel covers many texels and their mean.
    near = np.minimum(1.0, 14.0 / depth).astype(np.float32)[:, None]
    return (0.9 * coarse + 0.6 * grain) * near + 0.25 * grain


def _shadows(view: View, items, shape, top) -> tuple[np.ndarray, np.ndarray]:
    """Return contact shadow and cast shadow, (rows, columns) float32 in 0..1 each."""
    light = view.light
    contact, cast = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    sunny = light.sunlight.max() > 0
    drift = -light.sun / max(light.sun[1], 0.12)
    drift[1] = 0.0
    for item in items:
        if item.z - 0.5 * item.length > 45:
            continue  # A shadow there is a few pixels.
        ground = item.footprint()
        if item.base < 0.5:
            middle = ground.mean(axis=0)
            _blot(view, contact, middle + 1.12 * (ground - middle), top)
        if sunny:
            box = np.concatenate(
                [ground + drift * item.base, ground + drift * item.height]
            )
            hull = cv2.convexHull(box[:, [0, 2]].astype(np.float32))[:, 0]
            _blot(view, cast, np.insert(hull, 1, 0.0, axis=1), top)
    soft = [cv2.GaussianBlur(mask, (5, 5), 0) for mask in (contact, cast)]
    return soft[0] * np.float32(1 / 255), soft[1] * np.float32(1 / 255)


def _blot(view: View, mask: np.ndarray, points: np.ndarray, top: int) -> None:
    """Fill the projection of a polygon on the ground, (k, 3), in a shadow mask."""
    visible = clip_near(points, 0.6 * view.camera.nearest)
    if len(visible) >= 3:
        pixels = (view.camera.project(visible) - (0, top)) / SUPERSAMPLING
        fixed = np.rint(np.clip(pixels, -16000, 16000)).astype(np.int32)
        cv2.fillPoly(mask, [fixed], 255)
