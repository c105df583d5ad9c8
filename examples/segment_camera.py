"""Segment a camera and print the frame rate; needs no Keras and no TensorFlow.

    python examples/segment_camera.py frm_int8.tflite --camera 0 --seconds 10

To see the pictures, run `keras-frm predict frm_int8.tflite camera`.
"""

import argparse
import time

import cv2

import keras_frm

parser = argparse.ArgumentParser()
parser.add_argument("model", help="a .tflite file")
parser.add_argument("--camera", type=int, default=0)
parser.add_argument("--seconds", type=float, default=10)
options = parser.parse_args()

segmenter = keras_frm.Segmenter(options.model)
camera = cv2.VideoCapture(options.camera)
start, count = time.perf_counter(), 0
while time.perf_counter() - start < options.seconds:
    read, frame = camera.read()  # (H, W, 3) uint8 BGR
    if not read:
        print(f"camera {options.camera} gives no picture")
        break
    mask = segmenter(frame, order="BGR")  # (H, W) uint8 class ids
    count += 1
print(f"{count / (time.perf_counter() - start):.1f} frames a second")
camera.release()
