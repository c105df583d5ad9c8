"""How exactly polygons are filled, beside pycocotools, OpenCV and Pillow.

python results/polygons.py [--count 400]      (needs pip install pycocotools)

Random polygons of 4 to 60 corners. A pixel is truly inside where more than half of it
is, counted at 16x16 places. Numbers are shares of the area. Writes
results/polygons.csv.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask
from table import write_table

from keras_frm.data.annotations.shapes import Polygon

SIZE = (200, 240)
RADII = {"4 to 20": (4, 20), "20 to 90": (20, 90)}
PLACES = 16


def ours(ring, size=SIZE):
    mask = np.zeros(size, np.uint8)
    Polygon("", (ring,)).fill(mask, 1)
    return mask > 0


def pycocotools(ring):
    runs = coco_mask.frPyObjects([ring.ravel().tolist()], *SIZE)
    return coco_mask.decode(runs)[..., 0] > 0


def opencv(ring):
    mask = np.zeros(SIZE, np.uint8)
    cv2.fillPoly(mask, [np.round(ring).astype(np.int32)], 1)
    return mask > 0


def pillow(ring):
    mask = Image.new("L", SIZE[::-1])
    ImageDraw.Draw(mask).polygon([tuple(point) for point in ring], fill=1, outline=1)
    return np.array(mask) > 0


def share_inside(ring):
    """Return the share of each pixel that is inside: (H, W)."""
    height, width = SIZE
    fine = ours(ring * PLACES, (height * PLACES, width * PLACES))
    return fine.reshape(height, PLACES, width, PLACES).mean((1, 3))


def polygon(random, radii):
    """Return a polygon that does not cross itself, inside of the image: (n, 2)."""
    corners = random.integers(4, 60)
    angles = np.sort(random.uniform(0, 2 * np.pi, corners))
    radius = random.uniform(*radii) * random.uniform(0.6, 1, corners)
    centre = random.uniform((100, 95), (140, 105))
    return centre + np.stack([np.cos(angles), np.sin(angles)], 1) * radius[:, None]


def rows(count):
    """Yield a row for each size of polygons and each way to fill them."""
    for name, radii in RADII.items():
        random = np.random.default_rng(0)
        rings = [polygon(random, radii) for _ in range(count)]
        shares = np.stack([share_inside(ring) for ring in rings])
        reference = np.stack([pycocotools(ring) for ring in rings])
        for fill in (ours, pycocotools, opencv, pillow):
            masks = np.stack([fill(ring) for ring in rings])
            numbers = {
                "wrong_pixels": (masks != (shares > 0.5)).sum(),
                "area_too_large": masks.sum() - shares.sum(),
                "unlike_pycocotools": (masks != reference).sum(),
            }
            yield {
                "radius": name,
                "filled_by": fill.__name__,
                **{key: f"{n / shares.sum():.4f}" for key, n in numbers.items()},
                "polygons": count,
            }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=400)
    arguments = parser.parse_args()
    write_table(rows(arguments.count), Path(__file__).with_name("polygons.csv"))
