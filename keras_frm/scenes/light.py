"""Time of day and weather of the synthetic street scenes."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from keras_frm.scenes.weighted import random_row


@dataclass(frozen=True)
class Light:
    """Sun, sky and haze.

    Args:
        sun: Unit vector to the sun.
        sunlight: RGB factor of a surface that faces the sun; zero if overcast.
        ambient: RGB factor that every surface gets.
        zenith: RGB of the sky overhead.
        skyline: RGB of the sky at the horizon, and so of the haze.
        visibility: Distance over which contrast falls to 1/e, metres.
        clouds: Share of the sky under clouds, 0 to 1.
    """

    sun: np.ndarray
    sunlight: np.ndarray
    ambient: np.ndarray
    zenith: np.ndarray
    skyline: np.ndarray
    visibility: float
    clouds: float

    def irradiance(self, normals: np.ndarray) -> np.ndarray:
        """Return the RGB factor, (..., 3), of surfaces with normals (..., 3)."""
        facing = np.maximum(normals @ self.sun, 0.0)
        # Less of the sky shines on what looks sideways or down.
        openness = 0.8 + 0.2 * normals[..., 1:2]
        return self.ambient * openness + self.sunlight * facing[..., None]

    def clearness(self, depth):
        """Return how much of a colour survives the haze at a distance."""
        return np.exp(-np.asarray(depth) / self.visibility)

    @cached_property
    def _facing_camera(self) -> np.ndarray:
        return self.irradiance(np.array([0.0, 0.3, -0.95]))

    def shade_upright(self, rgb, depth: float) -> np.ndarray:
        """Light and haze colours, (..., 3), of something that faces the camera."""
        clear = math.exp(-depth / self.visibility)
        lit = np.minimum(np.asarray(rgb) * self._facing_camera, 255.0)
        return lit * clear + self.skyline * (1.0 - clear)

    def shade(self, rgb, normals: np.ndarray, depth) -> np.ndarray:
        """Light and haze colours: rgb, normals (..., 3), depth (...) -> (..., 3)."""
        lit = np.minimum(np.asarray(rgb) * self.irradiance(normals), 255.0)
        clear = np.asarray(self.clearness(depth))[..., None]
        return lit * clear + self.skyline * (1.0 - clear)


# weight, sun elevation (degrees), sunlight, ambient, zenith, skyline, visibility,
# clouds
_CONDITIONS = (
    (0.32, (30, 65), (0.62, 0.6, 0.54), (0.5, 0.53, 0.58), (72, 122, 195),
     (190, 208, 226), (300, 900), (0.0, 0.55)),  # clear day
    (0.18, (9, 24), (0.8, 0.62, 0.4), (0.42, 0.44, 0.5), (100, 128, 172),
     (238, 208, 172), (180, 600), (0.0, 0.6)),  # low sun
    (0.34, (40, 60), (0.0, 0.0, 0.0), (0.86, 0.88, 0.9), (168, 176, 186),
     (208, 212, 214), (160, 500), (0.6, 1.0)),  # overcast
    (0.08, (40, 60), (0.0, 0.0, 0.0), (0.74, 0.76, 0.78), (188, 192, 194),
     (196, 199, 200), (55, 120), (0.9, 1.0)),  # fog
    (0.08, (5, 9), (0.12, 0.07, 0.04), (0.42, 0.44, 0.55), (52, 70, 118),
     (196, 158, 142), (150, 400), (0.1, 0.8)),  # dusk
)  # fmt: skip


def random_light(rng: np.random.Generator) -> Light:
    """Draw a time of day and a weather."""
    _, elevation, sunlight, ambient, zenith, skyline, visibility, clouds = random_row(
        rng, _CONDITIONS
    )
    height = np.radians(rng.uniform(*elevation))
    azimuth = rng.uniform(-np.pi, np.pi)
    across = np.cos(height)
    tint = rng.uniform(0.94, 1.06, 3)
    return Light(
        sun=np.array(
            [across * np.sin(azimuth), np.sin(height), across * np.cos(azimuth)]
        ),
        sunlight=np.array(sunlight) * rng.uniform(0.8, 1.15) * tint,
        ambient=np.array(ambient) * rng.uniform(0.85, 1.1),
        zenith=np.clip(np.array(zenith) * tint, 0, 255),
        skyline=np.clip(np.array(skyline) * tint, 0, 255),
        visibility=rng.uniform(*visibility),
        clouds=rng.uniform(*clouds),
    )
