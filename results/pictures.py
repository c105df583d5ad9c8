"""Test images beside their labels, a run's masks and those of its int8 file.

python results/pictures.py RUN FILE.tflite DATA --out FILE.jpg [--width 240]
    [--images NUMBER...]

One row for each image of the test split: the image, its label, the network in float32,
the file.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from keras_frm import Segmenter, load_dataset
from keras_frm.presets import preset
from keras_frm.runtime.draw import grid, masks_beside
from keras_frm.training.run_config import load_settings
from keras_frm.training.run_folder import load_trained

IMAGES = (20, 80, 140, 210)


def row(image, label, network, segmenter, width):
    """Return an image and its masks, side by side."""
    logits = network.predict(image[np.newaxis].astype("float32"), verbose=0)
    masks = {
        "label": label,
        "float32": logits[0].argmax(-1).astype("uint8"),
        "int8": segmenter(image),
    }
    picture = masks_beside(image, masks, segmenter.labels)
    height = round(picture.shape[0] * 4 * width / picture.shape[1])
    return cv2.resize(picture, (4 * width, height), interpolation=cv2.INTER_AREA)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("tflite", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--width", type=int, default=240)
    parser.add_argument("--images", type=int, nargs="+", default=IMAGES)
    given = parser.parse_args()
    network, _ = load_trained(given.run)
    chosen = preset(load_settings(given.run)["preset"]["name"])
    data = load_dataset(chosen, given.data, "test", batch_size=1, augment=False)
    segmenter = Segmenter(given.tflite)
    pictures = []
    for number in given.images:
        images, labels = next(data.skip(number).take(1).as_numpy_iterator())
        image, label = images[0].astype("uint8"), labels[0].astype("uint8")
        pictures.append(row(image, label, network, segmenter, given.width))
    picture = grid(pictures)
    cv2.imwrite(str(given.out), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
