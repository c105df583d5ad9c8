"""Textures of the synthetic scenes: noise, masonry, fences, hedges, leaves."""

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np

from keras_frm.scenes.weighted import random_row

_TILE = 256


@cache
def noise_tile(roughness: float) -> np.ndarray:
    """Return noise that repeats without a seam.

    Args:
        roughness: Exponent of the fall of amplitude with frequency; 0 is white noise,
            2 is cloudy.

    Returns:
        (256, 256) float32 of mean 0 and variance 1, read-only.

    Example:
    >>> tile = noise_tile(1.5)
    >>> tile.shape, bool(abs(tile.std() - 1) < 1e-3)
    ((256, 256), True)
    """
    white = np.random.default_rng(7).standard_normal((_TILE, _TILE))
    frequency = np.hypot(np.fft.fftfreq(_TILE)[:, None], np.fft.rfftfreq(_TILE))
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(white) / np.maximum(frequency, 1 / _TILE) ** roughness
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, (_TILE, _TILE))
    noise = (noise / noise.std()).astype(np.float32)
    noise.setflags(write=False)
    return noise


def noise_patch(
    rng: np.random.Generator, shape: tuple[int, int], roughness: float, step=1.0
) -> np.ndarray:
    """Cut noise of a shape, (h, w) float32, out of the tile at a random place.

    `step` is the way in the tile, in texels, from one pixel to the next.
    """
    rows, columns = (
        (rng.integers(_TILE) + np.arange(side) * step).astype(np.int64) % _TILE
        for side in shape
    )
    return noise_tile(roughness)[rows][:, columns]


class Texture(NamedTuple):
    """A surface before it is lit.

    Args:
        tones: (rows, columns) uint8, positions in the palette.
        palette: (n, 3) RGB.
        grain: (rows, columns) float32 brightness, 1 on the whole.
        opacity: (rows, columns) uint8, or None where nothing shows through.
    """

    tones: np.ndarray
    palette: np.ndarray
    grain: np.ndarray
    opacity: np.ndarray | None = None

    def lit(self, irradiance, clearness, haze) -> np.ndarray:
        """Light and haze the texture.

        Args:
            irradiance: (3,) RGB factor.
            clearness: (columns,) share that the haze lets through.
            haze: (3,) RGB.

        Returns:
            (rows, columns, 4) uint8 RGB and opacity.
        """
        rows, columns = self.tones.shape
        table = np.zeros((1, 256, 4), np.uint8)
        table[0, : len(self.palette), :3] = np.minimum(self.palette * irradiance, 255)
        table[..., 3] = 255
        colours = cv2.LUT(cv2.merge([self.tones] * 4), table)
        gain = self.grain * (128 * clearness).astype(np.float32)
        gain = np.minimum(gain, 255).astype(np.uint8)
        full = np.full_like(gain, 128)
        veil = np.zeros((1, columns, 4), np.uint8)
        veil[0, :, :3] = (1 - clearness[:, None]) * haze
        veil = cv2.resize(veil, (columns, rows), interpolation=cv2.INTER_NEAREST)
        lit = cv2.multiply(colours, cv2.merge([gain, gain, gain, full]), scale=1 / 128)
        lit = cv2.add(lit, veil)
        if self.opacity is not None:
            lit[..., 3] = self.opacity
        return lit


_WALLS = (
    # weight, base RGB; grey as the road, brick as the walls, white as an overcast sky
    (0.28, (128, 127, 124)),
    (0.16, (205, 198, 184)),
    (0.16, (150, 92, 76)),
    (0.12, (190, 165, 128)),
    (0.1, (96, 98, 102)),
    (0.08, (120, 140, 150)),
    (0.1, (168, 150, 140)),
)


def random_wall_colour(rng: np.random.Generator) -> np.ndarray:
    """Draw the colour of plaster, stone or brick."""
    base = random_row(rng, _WALLS)[1]
    colour = np.array(base) * rng.uniform(0.75, 1.15) + rng.normal(0, 8, 3)
    return np.clip(colour, 20, 240)


def masonry(rng: np.random.Generator, length: float, height: float, shape) -> Texture:
    """Paint a free-standing wall with a coping; metres, (rows, columns)."""
    rows, columns = shape
    tones = np.zeros(shape, np.uint8)
    stone = rng.choice([0.22, 0.5, 3.0])
    course, block = int(stone * rows / height), int(stone * columns / length)
    if min(course, block) >= 2:
        layer, row = np.divmod(np.arange(rows), course)
        joint = (np.arange(columns) + block * (layer[:, None] % 2)) % (2 * block) == 0
        tones[joint | (row == 0)[:, None]] = 1
    tones[: max(1, int(0.12 * rows / height))] = 2
    base = random_wall_colour(rng)
    palette = base * np.array([[1.0], [0.8], [rng.uniform(0.7, 1.3)]])
    return Texture(tones, palette, 1 + 0.07 * noise_patch(rng, shape, 1.0))


# weight, post distance, bar distance, rails, bar share of the bar distance
_FENCES = (
    (0.35, 2.5, 0.14, 2, 0.35),  # iron bars
    (0.25, 2.2, 0.16, 2, 0.75),  # pickets
    (0.2, 2.5, 0.0, 3, 0.0),  # rails
    (0.2, 2.8, 0.09, 6, 0.22),  # mesh
)
_FENCE_COLOURS = ((55, 60, 58), (120, 92, 64), (205, 202, 196), (126, 130, 130))


def fence(rng: np.random.Generator, length: float, height: float, shape) -> Texture:
    """Paint a fence with holes; metres, (rows, columns)."""
    _, post, gap, rails, share = random_row(rng, _FENCES)
    rows, columns = shape
    texel = length / columns  # metres
    across = (np.arange(columns) + 0.5) * texel
    along = (np.arange(rows) + 0.5) / rows
    upright = across % post < max(0.1, 0.8 * texel)
    if gap:
        # Bars finer than a texel would flicker: coarser ones stand for them.
        width = max(gap, 2.2 * texel)
        upright |= (across % width) / width < share
    rail = (along * (rails + 0.6)) % 1 < max(0.14, rails / rows)
    opacity = np.uint8(255) * (upright[None, :] | rail[:, None])
    palette = rng.choice(_FENCE_COLOURS)[None] * rng.uniform(0.75, 1.15)
    grain = 1 + 0.06 * noise_patch(rng, shape, 0.5)
    return Texture(np.zeros(shape, np.uint8), palette, grain, opacity)


def hedge(rng: np.random.Generator, length: float, height: float, shape) -> Texture:
    """Paint a clipped hedge, darker below; metres, (rows, columns)."""
    leaves = noise_patch(rng, shape, 0.6, 10 * height / shape[0])
    down = np.linspace(0, 1, shape[0], dtype=np.float32)[:, None]
    opacity = np.uint8(255) * (down > 0.07 * (1 + leaves))
    palette = rng.uniform((48, 66, 28), (92, 104, 52))[None]
    grain = np.maximum((1.15 - 0.45 * down) * (1 + 0.22 * leaves), 0)
    return Texture(np.zeros(shape, np.uint8), palette, grain, opacity)


_LEAVES = ((62, 84, 40), (82, 98, 48), (52, 72, 46), (108, 104, 52), (128, 92, 46))
_CROWNS = 24  # Different outlines; mirrored, stretched and piled up they are many.


def random_leaves(rng: np.random.Generator) -> np.ndarray:
    """Draw the colour of leaves, spring to autumn."""
    base = np.array(_LEAVES[rng.choice(5, p=[0.34, 0.26, 0.22, 0.12, 0.06])])
    return base * rng.uniform(0.8, 1.2, 3)


@cache
def _crown(number: int, side: int) -> np.ndarray:
    """Return a crown, 128 where it has its colour, and opacity: (side, side, 4)."""
    rng = np.random.default_rng(number)
    raggedness = rng.uniform(0.12, 0.4)
    axis = np.linspace(-1, 1, side, dtype=np.float32)
    clumps = noise_patch(rng, (side, side), 1.3, 96 / side)
    leaves = noise_patch(rng, (side, side), 0.4, max(96 / side, 1.0))
    inside = 0.72 - axis[:, None] ** 2 - axis**2 + raggedness * clumps + 0.06 * leaves
    light = 0.95 - 0.28 * axis[:, None] + 0.2 * clumps + 0.16 * leaves
    crown = np.empty((side, side, 4), np.uint8)
    crown[..., :3] = np.clip(128 * light, 30, 255)[..., None]
    crown[..., 3] = np.clip(128 + 600 * inside, 0, 255)
    crown.setflags(write=False)
    return crown


def foliage(rng: np.random.Generator, side: int, leaves: np.ndarray) -> np.ndarray:
    """Paint a crown or a bush, lit from above, in the colour of its leaves.

    Returns:
        (side, side, 4) uint8 RGB and opacity.
    """
    level = np.arange(256)
    table = np.empty((1, 256, 4), np.uint8)
    table[0, :, :3] = np.minimum(level[:, None] * (leaves / 128), 255)
    table[0, :, 3] = level
    sprite = cv2.LUT(_crown(int(rng.integers(_CROWNS)), side), table)
    return cv2.flip(sprite, 1) if rng.random() < 0.5 else sprite
