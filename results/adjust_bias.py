"""Mean IoU on training images of what is taken from a classifier's bias.

python results/adjust_bias.py RUN DATA [--out FILE]

Class weights let rare classes learn, and then they are chosen too often. Writes
RUN/final.keras with the best amount, which all commands take in the place of
best.keras, and a row for each amount. See keras_frm.training.class_bias.
"""

import argparse
from pathlib import Path

from table import write_table

from keras_frm import load_dataset
from keras_frm.presets import preset
from keras_frm.training.class_bias import adjust_run
from keras_frm.training.run_config import load_settings


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    settings = load_settings(given.run)
    size = settings["resize"]
    images = load_dataset(
        *(preset(settings["preset"]["name"]), given.data, "train"),
        batch_size=1,
        resize=size and tuple(size),
        augment=False,
    )
    weights = settings["preset"]["recipe"]["class_weights"]
    found = adjust_run(given.run, images, weights)
    best = max(found, key=found.get)
    rows = (
        {"amount": amount, "train_miou": f"{100 * iou:.1f}", "taken": amount == best}
        for amount, iou in found.items()
    )
    write_table(rows, given.out)


if __name__ == "__main__":
    main()
