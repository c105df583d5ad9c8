"""Small datasets on disk, shared by the tests of reading, pipeline and check."""

from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = "id,name,r,g,b\n0,road,128,64,128\n1,car,0,0,142\n2,sky,70,130,180\n"


def write_image(path: Path, size=(12, 16), value=100) -> Path:
    """Write a plain RGB image of (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)
    return path


def write_mask(path: Path, size=(12, 16), value=0) -> Path:
    """Write a plain grey mask of (height, width), or the given array of ids."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = value if isinstance(value, np.ndarray) else np.full(size, value, np.uint8)
    Image.fromarray(ids).save(path)
    return path


def write_folder(root: Path, count=6, split="train", size=(12, 16)) -> Path:
    """Write a user's folder: image n has the value 10 n and the class n % 3."""
    for n in range(count):
        write_image(root / "images" / split / f"{n:03d}.png", size, 10 * n)
        write_mask(root / "masks" / split / f"{n:03d}.png", size, n % 3)
    (root / "classes.csv").write_text(CLASSES)
    return root
