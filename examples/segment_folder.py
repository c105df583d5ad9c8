"""Segment a folder of images with an exported model; needs no TensorFlow.

    python examples/segment_folder.py frm_int8.tflite images/ --out masks/

Writes a mask (grey PNG of class ids) for each image.
"""

import argparse
from pathlib import Path

import cv2

import keras_frm

parser = argparse.ArgumentParser()
parser.add_argument("model", help="a .tflite file")
parser.add_argument("folder", type=Path)
parser.add_argument("--out", type=Path, default=Path("masks"))
options = parser.parse_args()

segmenter = keras_frm.Segmenter(options.model)
options.out.mkdir(parents=True, exist_ok=True)
for file in sorted(options.folder.iterdir()):
    image = cv2.imread(str(file))  # (H, W, 3) uint8 BGR, None if it is no image
    if image is None:
        print(f"{file} is no image that OpenCV can read")
        continue
    mask = segmenter(image, order="BGR")  # (H, W) uint8 class ids
    cv2.imwrite(str(options.out / f"{file.stem}.png"), mask)
    print(options.out / f"{file.stem}.png")
