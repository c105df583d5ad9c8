"""Segment one image with an exported model; needs no Keras and no TensorFlow.

    python examples/segment_image.py frm_int8.tflite street.jpg

Writes the image with the classes' colours over it, and prints each class's share.
"""

import argparse

import cv2
import numpy as np

import keras_frm

parser = argparse.ArgumentParser()
parser.add_argument("model", help="a .tflite file")
parser.add_argument("image")
parser.add_argument("--out", default="overlay.png")
options = parser.parse_args()

segmenter = keras_frm.Segmenter(options.model)
image = cv2.imread(options.image)  # (H, W, 3) uint8 BGR
if image is None:
    parser.error(f"{options.image} is no image that OpenCV can read")
mask = segmenter(image, order="BGR")  # (H, W) uint8 class ids
for class_id, count in enumerate(np.bincount(mask.ravel())):
    if count:
        print(
            f"{segmenter.labels.classes[class_id]:15} {100 * count / mask.size:5.1f} %"
        )
overlay = segmenter.overlay(image, order="BGR")  # (H, W, 3) uint8 RGB
cv2.imwrite(options.out, cv2.cvtColor(overlay, cv2.COLOR_RGB2BGR))
