"""House fronts of the synthetic street scenes."""

from typing import NamedTuple

import numpy as np

from keras_frm.scenes.texture import Texture, noise_patch, random_wall_colour

_WALL, _COURSE, _TRIM, _GLASS, _DOOR, _BOARD = 0, 1, 2, 3, 6, 7  # palette; glass has 3


class FacadeStyle(NamedTuple):
    """How a building looks: colours are RGB, lengths are metres."""

    wall: np.ndarray
    trim: np.ndarray
    glass: np.ndarray
    door: np.ndarray
    storey: float
    bay: float
    window: tuple[float, float]  # share of the bay, share of the storey
    courses: float  # distance of the joints between bricks or panels, 0 if plain
    shops: bool

    def palette(self) -> np.ndarray:
        """Return the colours of the parts, (8, 3)."""
        panes = self.glass, self.glass * 0.6, self.glass * 0.7 + 60
        parts = self.wall, self.wall * 0.82, self.trim, *panes, self.door
        return np.array([*parts, self.door * 1.4])


def random_facade(rng: np.random.Generator, sky: np.ndarray) -> FacadeStyle:
    """Draw the style of one building; its windows mirror some of the sky."""
    wall = random_wall_colour(rng)
    mirror = rng.uniform(0.05, 0.6)
    return FacadeStyle(
        wall=wall,
        trim=np.clip(wall * rng.choice([0.65, 1.25, 1.4]), 0, 245),
        glass=np.array([42, 48, 56]) * (1 - mirror) + sky * mirror,
        door=rng.uniform(25, 130, 3),
        storey=rng.uniform(2.8, 3.8),
        bay=rng.uniform(1.8, 3.6),
        window=(rng.uniform(0.35, 0.8), rng.uniform(0.4, 0.7)),
        courses=rng.choice([0.0, 0.35, 1.2], p=[0.45, 0.35, 0.2]),
        shops=bool(rng.random() < 0.35),
    )


def facade(
    rng: np.random.Generator, style: FacadeStyle, length: float, height: float, shape
) -> Texture:
    """Paint a house front of length x height metres in (rows, columns) texels.

    Example:
    >>> rng = np.random.default_rng(0)
    >>> style = random_facade(rng, np.array([90.0, 130.0, 190.0]))
    >>> facade(rng, style, length=12, height=9, shape=(36, 48)).tones.shape
    (36, 48)
    """
    rows, columns = shape
    ppm = rows / height
    tones = np.full(shape, _WALL, np.uint8)
    if style.courses * ppm >= 3:
        tones[:: round(style.courses * ppm)] = _COURSE
    storeys = max(1, round(height / style.storey))
    bays = max(1, round(length / style.bay))
    # Whole part: which storey or bay; rest: where in it.
    floor, down = np.divmod((np.arange(rows) + 0.5) * storeys / rows, 1)
    bay, across = np.divmod((np.arange(columns) + 0.5) * bays / columns, 1)
    floor, bay = floor.astype(int), bay.astype(int)
    ground = floor == storeys - 1
    shop = ground & style.shops

    panes = rng.choice([0, 0, 1, 2], size=(storeys, bays)).astype(np.uint8) + _GLASS
    panes = panes[floor][:, bay]
    from_middle = 2 * np.abs(across - 0.5)
    from_sill = 2 * np.abs(down - np.where(ground, 0.6, 0.5))
    wide = np.where(shop, 0.9, style.window[0])[:, None]
    high = np.where(shop, 0.7, style.window[1])
    frame = 0.18 / style.bay
    framed = (from_sill < high + frame)[:, None] & (from_middle < wide + frame)
    glazed = (from_sill < high)[:, None] & (from_middle < wide)
    tones[framed] = _TRIM
    np.copyto(tones, panes, where=glazed)
    if style.shops:
        tones[ground & (down < 0.16)] = _BOARD
    else:
        in_door = (bay == bays // 2) & (from_middle < 0.5)
        tones[np.ix_(ground & (down > 0.25), in_door)] = _DOOR
    tones[: max(1, int(0.25 * ppm))] = _TRIM
    grain = 1 + 0.05 * noise_patch(rng, shape, 1.2, 15 / ppm)
    return Texture(tones, style.palette(), grain)
