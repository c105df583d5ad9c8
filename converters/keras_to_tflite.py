"""Export a trained model as a .tflite file: float32, float16, dynamic or int8.

python converters/keras_to_tflite.py run/best.keras frm.tflite --size 256 512
python converters/keras_to_tflite.py run/best.keras frm_int8.tflite --size 256 512 \
    --precision int8 --images folder_of_street_images
"""

import argparse
import sys
from pathlib import Path

import cv2
import keras

import keras_frm
import keras_frm.layers  # registers the layers, so that safe mode can stay on


def is_image(file, image):
    """Return whether a file could be read; say which one could not."""
    if image is None:
        print(f"left out, no image: {file}", file=sys.stderr)
    return image is not None


def main():
    """Read the arguments, export, print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help=".keras file")
    parser.add_argument("out", type=Path, help=".tflite file to write")
    parser.add_argument("--size", type=int, nargs=2, required=True, metavar=("H", "W"))
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--images", type=Path, help="folder to calibrate on")
    parser.add_argument("--output", default="mask", help="mask, logits or scores")
    parser.add_argument("--output-stride", type=int, default=1)
    arguments = parser.parse_args()

    images = None
    if arguments.images is not None:
        files = sorted(arguments.images.rglob("*.png"))
        files += sorted(arguments.images.rglob("*.jpg"))
        read = ((file, cv2.imread(str(file))) for file in files[:100])
        images = [image[..., ::-1] for file, image in read if is_image(file, image)]
    try:
        model = keras.saving.load_model(arguments.model, compile=False)
        report = keras_frm.export_tflite(
            model,
            arguments.out,
            input_shape=arguments.size,
            precision=arguments.precision,
            representative_data=images,
            output=arguments.output,
            output_stride=arguments.output_stride,
        )
    except (ValueError, OSError) as error:
        parser.exit(1, f"{error}\n")
    print(report)


if __name__ == "__main__":
    main()
