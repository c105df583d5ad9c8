"""What closes the view of the synthetic scenes: sky, clouds and a far skyline."""

import cv2
import numpy as np

from keras_frm.scenes.canvas import TRAIN_ID
from keras_frm.scenes.facade import facade, random_facade
from keras_frm.scenes.texture import foliage, noise_tile, random_leaves
from keras_frm.scenes.view import FORWARD, View

_SKY, _BUILDING, _VEGETATION = (TRAIN_ID[n] for n in ("sky", "building", "vegetation"))

_COARSE = 8  # Canvas pixels for one of the sky, which is smooth.


def draw_sky(view: View) -> None:
    """Fill the canvas above the horizon with a gradient and clouds."""
    canvas, light, rng = view.canvas, view.light, view.rng
    rows = int(view.camera.horizon) // _COARSE + 2
    columns = -(-canvas.width // _COARSE)
    height = np.linspace(1.0, 0.0, rows, dtype=np.float32)[:, None]
    sky = light.skyline + (light.zenith - light.skyline) * height[..., None] ** 0.7
    sky = np.broadcast_to(sky, (rows, columns, 3)).astype(np.float32)

    # A flat layer of clouds: the farther, the nearer to the horizon and the denser.
    distance = 26.0 / (height + 0.22)
    across = np.linspace(-1.3, 1.3, columns, dtype=np.float32)
    clouds = cv2.remap(
        noise_tile(1.7),
        (distance * across + rng.uniform(0, 256)).astype(np.float32),
        np.broadcast_to(distance + rng.uniform(0, 256), (rows, columns)).astype(
            np.float32
        ),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )
    cover = np.clip((clouds - 1.3 + 2.4 * light.clouds) / 1.1, 0, 1)[..., None]
    white = np.minimum(light.skyline * (1.02 if light.clouds > 0.6 else 1.15), 250)
    white = white * (1 - 0.07 * np.clip(clouds, -1, 2))[..., None]
    sky += cover * (white - sky) * (1 - 0.5 * (1 - height[..., None]) ** 4)

    coarse = np.full((rows, columns, 4), _SKY, np.uint8)
    coarse[..., :3] = np.clip(sky, 0, 255)
    upscaled = cv2.resize(coarse, None, fx=_COARSE, fy=_COARSE)
    canvas.pixels[: len(upscaled)] = upscaled[: canvas.height, : canvas.width]


def draw_skyline(view: View, greenness: float) -> None:
    """Draw distant houses and trees all along the horizon.

    Args:
        view: The view.
        greenness: Share of the trees, 0 to 1.
    """
    canvas, camera, rng = view.canvas, view.camera, view.rng
    # A few of each kind are enough at this distance.
    crowns, fronts = _distant_crowns(view), _distant_fronts(view)
    column = -20.0
    while column < canvas.width:
        scale = camera.scale(rng.uniform(150, 260))
        bottom = camera.horizon + scale * camera.height + 2
        is_tree = rng.random() < greenness
        width = scale * (rng.uniform(12, 26) if is_tree else rng.uniform(14, 34))
        rise = rng.uniform(8, 16) if is_tree else rng.uniform(7, 36) * (1.2 - greenness)
        top = bottom - scale * rise
        quad = np.array([[column, top], [column + width, top],
                         [column + width, bottom], [column, bottom]])  # fmt: skip
        if is_tree:
            sprite = crowns[rng.integers(len(crowns))]
            box = (column - 0.3 * width, top, column + width, bottom + 2)
            canvas.stamp(sprite, box, _VEGETATION)
            # The undergrowth leaves no gap between crowns.
            quad[:2, 1] = bottom - 0.45 * scale * rise
            canvas.fill(quad, sprite[24, 16, :3], _VEGETATION)
        else:
            canvas.warp(fronts[rng.integers(len(fronts))], quad, _BUILDING)
        column += 0.75 * width


def _distant_crowns(view: View) -> list[np.ndarray]:
    """Paint a few crowns, each at a distance of its own."""
    rng, light = view.rng, view.light
    depths = rng.uniform(130, 260, 3)
    return [
        foliage(rng, 32, light.shade_upright(random_leaves(rng), depth))
        for depth in depths
    ]


def _distant_fronts(view: View) -> list[np.ndarray]:
    """Paint a few house fronts, each at a distance of its own."""
    rng, light = view.rng, view.light
    fronts = []
    for depth in rng.uniform(130, 260, 3):
        style = random_facade(rng, light.zenith)
        front = facade(rng, style, 24, 18, (40, 56))
        clear = np.full(front.tones.shape[1], light.clearness(depth))
        fronts.append(front.lit(light.irradiance(-FORWARD), clear, light.skyline))
    return fronts
