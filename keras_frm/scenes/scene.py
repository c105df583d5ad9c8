"""Procedural street scenes with exact labels, for where no data is at hand."""

import operator

import numpy as np

from keras_frm.labels import IGNORE_LABEL
from keras_frm.scenes.backdrop import draw_sky, draw_skyline
from keras_frm.scenes.canvas import Canvas
from keras_frm.scenes.effects import photograph
from keras_frm.scenes.ground import draw_ground, light_ground
from keras_frm.scenes.layout import random_layout
from keras_frm.scenes.light import random_light
from keras_frm.scenes.view import UP, View, random_camera
from keras_frm.scenes.visibility import far_to_near

MIN_SIZE = (64, 128)


def render_scene(
    index: int, seed: int, size: tuple[int, int] = (256, 512)
) -> tuple[np.ndarray, np.ndarray]:
    """Render a street scene seen from a car, with its label.

    The result depends on the arguments alone.

    Args:
        index: Number of the scene, at least 0.
        seed: Number of the series of scenes, at least 0.
        size: Height and width, pixels; at least (64, 128), odd sizes too.

    Returns:
        Image, (h, w, 3) uint8 RGB, and label, (h, w) uint8 of Cityscapes train ids,
        255 where nothing is labelled (the bonnet of the camera's own car).

    Raises:
        TypeError: If `index`, `seed` or a side is not an integer.
        ValueError: If one of them is negative or too small.

    Example:
    >>> image, label = render_scene(3, seed=0, size=(64, 128))
    >>> image.shape, label.shape, label.dtype
    ((64, 128, 3), (64, 128), dtype('uint8'))
    """
    index, seed = _checked_number("index", index), _checked_number("seed", seed)
    size = checked_size(size)
    rng = np.random.default_rng([seed, index])
    canvas = Canvas(size)
    layout = random_layout(rng)
    view = View(canvas, random_camera(rng, canvas), layout.road, random_light(rng), rng)

    draw_sky(view)
    draw_skyline(view, layout.greenness)
    draw_ground(view, layout.street)
    light_ground(view, layout.items)
    for item in far_to_near(layout.items, view.camera, canvas.width):
        item.draw(view, item)
    if rng.random() < 0.4:
        _draw_bonnet(view)

    image, label = canvas.resolve()
    return photograph(rng, image), label


def _draw_bonnet(view: View) -> None:
    """Draw the front of the camera's own car, which is not labelled."""
    canvas, rng = view.canvas, view.rng
    rise = rng.uniform(0.05, 0.14) * canvas.height
    across = np.linspace(-0.1, 1.1, 25)
    bulge = 1 - np.abs(2 * across - 1) ** rng.uniform(2.5, 6)
    paint = view.light.shade(rng.uniform(15, 190, 3), UP, 0.0)
    for share, shade in ((1.0, 0.75), (0.85, 1.0), (0.4, 1.12)):
        rim = canvas.height - rise * share * (0.25 + 0.75 * bulge)
        outline = np.stack([across * canvas.width, rim], axis=-1)
        corners = [[1.1 * canvas.width, canvas.height], [-9.0, canvas.height]]
        colour = np.minimum(paint * shade, 255)
        canvas.fill(np.concatenate([outline, corners]), colour, IGNORE_LABEL)


def _checked_number(name: str, value: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"{name} must be an integer, got {kind} {value!r}.") from None
    if number < 0:
        raise ValueError(f"{name} must be 0 or more, got {number}.")
    return number


def checked_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return a scene's height and width if they are whole and large enough.

    Args:
        size: Height and width, pixels.

    Raises:
        TypeError: A side is not an integer.
        ValueError: The scene would be smaller than (64, 128).

    Example:
    >>> checked_size((64, 128))
    (64, 128)
    """
    try:
        height, width = size
    except (TypeError, ValueError):
        raise TypeError(f"size must be (height, width), got {size!r}.") from None
    height, width = _checked_number("height", height), _checked_number("width", width)
    if height < MIN_SIZE[0] or width < MIN_SIZE[1]:
        raise ValueError(
            f"size {height}x{width} is too small for a street scene; give at least "
            f"{MIN_SIZE[0]}x{MIN_SIZE[1]} (height x width)."
        )
    return height, width
