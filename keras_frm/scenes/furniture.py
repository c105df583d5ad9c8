"""Poles of the synthetic scenes and what hangs on them: lamps, signals, signs."""

import numpy as np

from keras_frm.scenes.canvas import TRAIN_ID
from keras_frm.scenes.view import Item, View
from keras_frm.scenes.weighted import random_row

_POLE, _SIGNAL, _SIGN = (
    TRAIN_ID[name] for name in ("pole", "traffic light", "traffic sign")
)


def _ring(corners: int, turn: float = 0.0) -> np.ndarray:
    """Return a regular polygon in the unit circle, (corners, 2)."""
    angle = 2 * np.pi * (np.arange(corners) + turn) / corners
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1)


_SQUARE = _ring(4, 0.5) * np.sqrt(2)
_RED, _BLUE, _WHITE, _YELLOW, _BLACK, _GREEN = (
    (178, 28, 34), (28, 72, 158), (226, 226, 222), (228, 182, 34), (24, 24, 26),
    (20, 104, 72),
)  # fmt: skip

# weight, outline, half width and half height (metres), border, field, glyph colours
_SIGNS = (
    (0.2, _ring(3), (0.45, 0.45), _RED, _WHITE, _BLACK),  # warning
    (0.1, _ring(3, 0.5), (0.45, 0.45), _RED, _WHITE, _WHITE),  # give way
    (0.2, _ring(16), (0.34, 0.34), _RED, _WHITE, _BLACK),  # limit, prohibition
    (0.08, _ring(8, 0.5), (0.38, 0.38), _WHITE, _RED, _WHITE),  # stop
    (0.14, _ring(16), (0.34, 0.34), _WHITE, _BLUE, _WHITE),  # direction
    (0.12, _SQUARE, (0.32, 0.32), _WHITE, _BLUE, _WHITE),  # parking, crossing
    (0.06, _ring(4), (0.42, 0.42), _WHITE, _YELLOW, _YELLOW),  # priority
    (0.05, _SQUARE, (1.3, 0.7), _WHITE, _BLUE, _WHITE),  # place names
    (0.05, _SQUARE, (0.9, 0.35), _BLACK, _YELLOW, _BLACK),  # detour
)
# Lamp colour, and how often it is the one that is lit.
_LAMPS = (((255, 60, 40), 0.45), ((255, 190, 50), 0.1), ((60, 240, 150), 0.45))


def draw_lamp_post(view: View, item: Item) -> None:
    """Draw a street lamp, its arm over the road."""
    colour = _draw_pole(view, item, item.height, 0.08)
    side = -np.sign(item.x) * view.rng.uniform(0.6, 2.2)
    arm = np.array([[0, item.height], [side, item.height + 0.25]])
    width = view.camera.scale(item.z) * 0.09
    points = _pixels(view, item, arm)
    view.canvas.stroke(points, colour, _POLE, width)
    view.canvas.stroke(points[1] + [[-2 * width, 0], [2 * width, 0]], colour * 0.7,
                       _POLE, 2 * width)  # fmt: skip


def draw_bare_pole(view: View, item: Item) -> None:
    """Draw a bollard or a mast."""
    _draw_pole(view, item, item.height, 0.5 * item.width)


def draw_signal(view: View, item: Item) -> None:
    """Draw a traffic light, now and then with a second one on an arm."""
    rng = view.rng
    _draw_pole(view, item, item.height, 0.07)
    heads = [(0.0, rng.uniform(2.5, 3.0))]
    if item.height > 4.5:
        reach = -np.sign(item.x) * rng.uniform(2.5, 4.5)
        arm = _pixels(view, item, np.array([[0, item.height], [reach, item.height]]))
        colour = view.light.shade_upright([70, 72, 72], item.z)
        view.canvas.stroke(arm, colour, _POLE, view.camera.scale(item.z) * 0.1)
        heads.append((reach, item.height - 0.3))
    housing = np.array(_BLACK if rng.random() < 0.8 else _YELLOW) * rng.uniform(
        0.8, 1.4
    )
    lit = rng.choice(3, p=[share for _, share in _LAMPS])
    for across, middle in heads:
        box = np.array([across, middle]) + _SQUARE * (0.19, 0.5)
        colour = view.light.shade_upright(housing, item.z)
        view.canvas.fill(_pixels(view, item, box), colour, _SIGNAL)
        if item.kind == "away":
            continue
        for slot, (lamp, _) in enumerate(_LAMPS):
            if slot == lit:
                # It shines by itself: no shading, only haze.
                clear = view.light.clearness(item.z)
                colour = (
                    np.array(lamp) * clear + view.light.skyline * (1 - clear) * clear
                )
            else:
                colour = view.light.shade_upright(np.array(lamp) * 0.25, item.z)
            centre = _pixels(view, item, np.array([across, middle + 0.31 * (1 - slot)]))
            view.canvas.disc(centre, 0.12 * view.camera.scale(item.z), colour, _SIGNAL)


def draw_sign(view: View, item: Item) -> None:
    """Draw one or two traffic signs on a pole."""
    rng = view.rng
    colour = _draw_pole(view, item, item.height, 0.04)
    top = item.height
    for _ in range(rng.integers(1, 3)):
        _, outline, size, *colours = random_row(rng, _SIGNS)
        size = np.array(size) * rng.uniform(0.85, 1.15)
        middle = np.array([rng.uniform(-0.03, 0.03), top - size[1]])
        border, field, glyph = (
            view.light.shade_upright(np.array(rgb) * rng.uniform(0.8, 1.1), item.z)
            for rgb in colours
        )
        shapes = ((1.0, border), (0.8 if size[0] > 0.6 else 0.72, field))
        for share, paint in shapes:
            points = _pixels(view, item, middle + share * outline * size)
            view.canvas.fill(points, paint, _SIGN)
        strokes = rng.uniform(-0.35, 0.35, (2, 3, 2)) * size * (1.0, 0.9)
        width = 0.12 * size[1] * view.camera.scale(item.z)
        if width >= 0.7:
            points = _pixels(view, item, middle + strokes)
            view.canvas.stroke(points, glyph, _SIGN, width)
        if size[0] > 0.6:  # A board stands on two posts.
            posts = np.array([[[s * size[0], 0], [s * size[0], top - 2 * size[1]]]
                              for s in (-0.7, 0.7)])  # fmt: skip
            width = 0.08 * view.camera.scale(item.z)
            view.canvas.stroke(_pixels(view, item, posts), colour, _POLE, width)
        top -= 2 * size[1] + 0.06
        if top < 1.9:
            break


def _pixels(view: View, item: Item, flat: np.ndarray) -> np.ndarray:
    """Project points, (..., 2) metres across and up, of a plane facing the camera."""
    points = np.empty((*flat.shape[:-1], 3))
    points[..., 0] = item.x + flat[..., 0]
    points[..., 1] = flat[..., 1]
    points[..., 2] = item.z
    return view.camera.project(points)


def _draw_pole(view: View, item: Item, height: float, radius: float) -> np.ndarray:
    """Draw an upright pole with a lit and a dark side; return its colour."""
    radius = radius * view.rng.uniform(0.8, 1.3)
    metal = view.rng.uniform(55, 175) * view.rng.uniform(0.93, 1.07, 3)
    colour = view.light.shade_upright(metal, item.z)
    shade = view.light.shade_upright(metal * 0.65, item.z)
    dark = -1 if view.light.sun[0] > 0 else 1
    # At least one pixel of the finished picture, as annotators draw them.
    radius = max(radius, 1.0 / view.camera.scale(item.z))
    box = np.array([[-1, 0], [-1, 1], [1, 1], [1, 0]]) * (radius, height)
    view.canvas.fill(_pixels(view, item, box), colour, _POLE)
    box = np.array([[0.2, 0], [0.2, 1], [1, 1], [1, 0]]) * (dark * radius, height)
    view.canvas.fill(_pixels(view, item, box), shade, _POLE)
    return colour
