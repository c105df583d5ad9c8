"""Street images in one small file for a machine without a network.

    python -m results.gpu.archive CITYSCAPES CAMVID FOLDER [--quality 80]

Encodes the images again as WebP and packs the labels without loss: FOLDER gets
`cityscapes256.npz` and `camvid.npz`. Their contents are not passed on.
"""

import argparse
import lzma
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

SPLITS = ("train", "val")


def pack(pairs: Iterator[tuple[np.ndarray, np.ndarray]], quality: int) -> dict:
    """Return the arrays of a split's file.

    Args:
        pairs: Images (H, W, 3) uint8 RGB and labels (H, W) uint8 of one size.
        quality: Quality of the images, 1 to 100.
    """
    images, labels = [], []
    options = [cv2.IMWRITE_WEBP_QUALITY, quality]
    for image, label in pairs:
        images.append(cv2.imencode(".webp", image[:, :, ::-1], options)[1].ravel())
        labels.append(label)
    packed = lzma.compress(np.stack(labels).tobytes())
    return {
        "images": np.concatenate(images),
        "ends": np.cumsum([len(image) for image in images]),
        "labels": np.frombuffer(packed, np.uint8),
        "shape": np.array((len(labels), *labels[0].shape)),
    }


def unpack(arrays: dict) -> tuple[np.ndarray, np.ndarray]:
    """Return what `pack` took: images (N, H, W, 3) RGB, labels (N, H, W), uint8."""

    def decode(encoded):
        return cv2.imdecode(encoded, cv2.IMREAD_COLOR)[:, :, ::-1]

    # The last part of a split at all ends is empty.
    parts = np.split(arrays["images"], arrays["ends"])[:-1]
    with ThreadPoolExecutor() as pool:
        images = np.stack(list(pool.map(decode, parts)))
    labels = np.frombuffer(lzma.decompress(arrays["labels"].tobytes()), np.uint8)
    return images, labels.reshape(arrays["shape"])


def write(path: Path, splits: dict[str, dict]) -> None:
    """Write what `pack` made of each split."""
    named = {
        f"{s}_{key}": a for s, arrays in splits.items() for key, a in arrays.items()
    }
    np.savez(path, **named)


def read(path: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the images and labels of a split, see `unpack`."""
    with np.load(path) as file:
        keys = ("images", "ends", "labels", "shape")
        return unpack({key: file[f"{split}_{key}"] for key in keys})


def pairs_of(dataset: str, root: Path, split: str) -> Iterator[tuple]:
    """Yield the images and train ids of a dataset's folder."""
    from keras_frm.data.sources import find_pairs

    listing = find_pairs(dataset, root, split)
    yield from map(listing.read, listing.pairs)


def main():
    """Write both files, unless they are too large together."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cityscapes", type=Path)
    parser.add_argument("camvid", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quality", type=int, default=80)
    parser.add_argument("--megabytes", type=float, default=55)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    sizes = 0
    for dataset, root, name in (
        ("cityscapes", given.cityscapes, "cityscapes256"),
        ("camvid", given.camvid, "camvid"),
    ):
        splits = {
            split: pack(pairs_of(dataset, root, split), given.quality)
            for split in SPLITS
        }
        write(given.folder / f"{name}.npz", splits)
        sizes += (given.folder / f"{name}.npz").stat().st_size / 1e6
    print(f"{sizes:.1f} MB")
    if sizes > given.megabytes:
        sys.exit(f"That is more than {given.megabytes:g} MB: lower --quality.")


if __name__ == "__main__":
    main()
