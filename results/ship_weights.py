"""Put a trained run among the weights that come with the package.

python results/ship_weights.py NAME RUN FILE.tflite --card CARD_FOLDER \
    --trained-on TEXT --measured-on TEXT --licence TEXT [--default]

FILE is the int8 file of RUN, CARD_FOLDER what `keras-frm card RUN FILE` wrote. The mean
IoUs are those of the card. Writes NAME.weights.h5 (float16), NAME_int8.tflite, NAME.md
and the table shipped.json in keras_frm/weights.
"""

import argparse
import hashlib
import json
import re
import shutil
from pathlib import Path

from keras_frm.files import write_bytes
from keras_frm.models.weights_h5 import save_half
from keras_frm.training.run_config import load_settings
from keras_frm.training.run_folder import load_trained
from keras_frm.weights.shipped import FOLDER, TABLE


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("run", type=Path)
    parser.add_argument("tflite", type=Path)
    parser.add_argument("--card", type=Path, required=True)
    for text in ("--trained-on", "--measured-on", "--licence"):
        parser.add_argument(text, required=True)
    parser.add_argument("--default", action="store_true")
    given = parser.parse_args()

    network, labels = load_trained(given.run)
    weights, device = f"{given.name}.weights.h5", f"{given.name}_int8.tflite"
    save_half(network, FOLDER / weights)
    shutil.copy(given.tflite, FOLDER / device)
    page = (given.card / "card.md").read_text()
    # Pictures of the data are not passed on.
    page = re.sub(r"## Pictures\n\n.*?\n(?=## )", "", page, flags=re.DOTALL)
    # Nor are the folders of whoever trained it.
    page = re.sub(r"(?<=[ (])/\S*/(?=\S)", "", page)
    write_bytes(FOLDER / f"{given.name}.md", page.encode())

    preset = load_settings(given.run)["preset"]
    table = json.loads((FOLDER / TABLE).read_text())
    table[given.name] = {
        "network": preset["network"],
        "preset": preset["name"],
        "classes": labels.classes,
        "trained_on": given.trained_on,
        "measured_on": given.measured_on,
        "mean_iou": mean_iou(page, network_row(page)),
        "mean_iou_int8": mean_iou(page, given.tflite.name),
        "licence": given.licence,
        "weights": weights,
        "weights_sha256": digest(FOLDER / weights),
        "device": device,
        "device_sha256": digest(FOLDER / device),
        "default": given.default,
    }
    write_bytes(FOLDER / TABLE, (json.dumps(table, indent=2) + "\n").encode())


def network_row(page):
    """Return the name of the first file of a card, the trained network."""
    return re.search(r"Mean: (\S+) [\d.]+%", page)[1]


def mean_iou(page, name):
    """Return the mean IoU that a card has of a file, of 1."""
    return round(float(re.search(rf"{re.escape(name)} ([\d.]+)%", page)[1]) / 100, 4)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
