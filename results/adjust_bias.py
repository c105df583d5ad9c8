"""Take back a part of what class weights do to a trained network's choices.

python results/adjust_bias.py RUN DATA [--images 300] [--out FILE]

Weights by class let rare classes learn, and then they are chosen too often. An amount
of the weights' logarithms is taken from the classifier's bias; the amount is the best
one on training images, which are not augmented. Writes RUN/final.keras, which all
commands take in the place of best.keras, and a row for each amount.

Source: Menon et al., Long-tail learning via logit adjustment, 2021, section 4.1.
"""

import argparse
from pathlib import Path

import numpy as np
import tensorflow as tf
from table import write_table

from keras_frm import load_dataset
from keras_frm.metrics import confusion_matrix, iou_from_confusion
from keras_frm.models.saving import load_network
from keras_frm.presets import preset
from keras_frm.training.run_config import load_settings
from keras_frm.training.run_folder import BEST, FINAL, save_model

AMOUNTS = (0.0, 0.25, 0.5, 0.75, 1.0)


def mean_ious(network, images, shift):
    """Return the mean IoU with each amount of a shift of the logits."""
    classes = len(shift)
    counts = {amount: np.zeros((classes, classes), np.int64) for amount in AMOUNTS}
    logits_of = tf.function(lambda x: network(tf.cast(x, tf.float32), training=False))
    for image, mask in images:
        logits, mask = logits_of(image).numpy()[0], mask.numpy()[0]
        for amount, table in counts.items():
            chosen = (logits - amount * shift).argmax(-1)
            table += confusion_matrix(mask, chosen, classes)
    return {
        amount: np.nanmean(iou_from_confusion(table))
        for amount, table in counts.items()
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    settings = load_settings(given.run)
    chosen, size = preset(settings["preset"]["name"]), tuple(settings["resize"])
    shift = np.log(settings["preset"]["recipe"]["class_weights"]).astype(np.float32)
    images = load_dataset(
        *(chosen, given.data, "train"), batch_size=1, resize=size, augment=False
    )
    every = max(1, int(images.cardinality()) // given.images)
    network = load_network(given.run / BEST)
    found = mean_ious(network, images.shard(every, 0), shift)
    best = max(found, key=found.get)
    bias = network.get_layer("classifier").bias
    bias.assign_sub(best * shift)
    save_model(network, given.run / FINAL)
    rows = (
        {"amount": amount, "train_miou": f"{100 * iou:.1f}", "taken": amount == best}
        for amount, iou in found.items()
    )
    write_table(rows, given.out)


if __name__ == "__main__":
    main()
