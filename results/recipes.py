"""What choices of a recipe are worth, on CamVid at half size.

python results/recipes.py CAMVID_FOLDER [--only NAME ...] [--seeds 0 1] [--out FILE]

`frm_lite0` with ImageNet weights is trained for 12 epochs on the 367 training images at
240x180, each choice with two seeds, and measured on `val`; a row goes to
results/recipes.csv after each training. Two processes with one core each (`taskset`)
take less time than one with two.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import cv2
import keras
import numpy as np
from keras import ops
from table import write_table

import keras_frm
from keras_frm.benchmark.machine import machine_name
from keras_frm.data.class_balance import (
    median_frequency_weights,
    square_root_weights,
)
from keras_frm.optimizers.loss_scaling import without_loss_scaling
from keras_frm.presets import preset

SIZE = (180, 240)
EPOCHS, BATCH = 12, 8

ADAMW = {"optimizer": "adamw", "learning_rate": 2e-3, "weight_decay": 1e-2}
ADAMW |= {"contrastive_weight": 0.0, "warmup_steps": 50, "weight_ema": 0.99}
WEIGHTED = ADAMW | {"class_weights": square_root_weights}
SGD = {"optimizer": "sgd", "weight_decay": 1e-4}
CHOICES = {
    "sgd": ADAMW | SGD | {"learning_rate": 0.03},
    "adamw": ADAMW,
    "weights": WEIGHTED,
    "balanced": ADAMW | {"class_weights": median_frequency_weights},
    "ohem": WEIGHTED | {"loss": "ohem", "ohem_threshold": 0.7, "ohem_kept": 43200},
    "backbone_0.3": WEIGHTED | {"backbone_multiplier": 0.3},
    "backbone_0.1": WEIGHTED | {"backbone_multiplier": 0.1},
    "contrastive_0.1": WEIGHTED | {"contrastive_weight": 0.1},
    "contrastive_0.1_warm": WEIGHTED | {"contrastive_weight": 0.1, "warm": 200},
    "contrastive_1_warm": WEIGHTED | {"contrastive_weight": 1.0, "warm": 200},
    "sampling": WEIGHTED | {"sampling": True},
    "rate_5e-4": WEIGHTED | {"learning_rate": 5e-4},
    "rate_1e-3": WEIGHTED | {"learning_rate": 1e-3},
    "rate_4e-3": WEIGHTED | {"learning_rate": 4e-3},
    "width_32": WEIGHTED | {"decoder_width": 32},
    "width_48": WEIGHTED | {"decoder_width": 48},
    "width_96": WEIGHTED | {"decoder_width": 96},
}


class BeforeAveraging(keras.callbacks.Callback):
    """Keep the weights that the moving averages replace when `fit` ends."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.params["epochs"] - 1:
            self.weights = self.model.network.get_weights()


def warm_up(model, steps):
    """Let the weight of the contrastive loss rise over the first steps."""
    terms_of = model.loss_terms

    def loss_terms(*args):
        terms = terms_of(*args)
        weight, term = terms["contrastive"]
        done = ops.cast(without_loss_scaling(model.optimizer).iterations, "float32")
        terms["contrastive"] = (weight * ops.minimum(done / steps, 1.0), term)
        return terms

    model.loss_terms = loss_terms


def masks_of(folder):
    """Return the training masks by the files' stems."""
    paths = sorted((folder / "trainannot").iterdir())
    return {p.stem: cv2.imread(str(p), cv2.IMREAD_UNCHANGED) for p in paths}


def with_rare_twice(folder, masks, num_classes, into):
    """Link the training images, twice the half with the largest share of the rarest."""
    counts = {
        stem: np.bincount(mask.ravel(), minlength=256)[:num_classes]
        for stem, mask in masks.items()
    }
    rarest = np.argsort(sum(counts.values()))[:2]
    order = sorted(counts, key=lambda stem: counts[stem][rarest].sum())
    often = set(order[len(order) // 2 :])
    for name, ending in (("train", ".jpg"), ("trainannot", ".png")):
        (into / name).mkdir()
        for stem in counts:
            source = (folder / name / f"{stem}{ending}").resolve()
            for copy in ("", "_again") if stem in often else ("",):
                os.symlink(source, into / name / f"{stem}{copy}{ending}")
    return into


def train_and_measure(name, folder, seed, work):
    """Train one choice; return its row."""
    changes = dict(CHOICES[name])
    warm, sampling = changes.pop("warm", None), changes.pop("sampling", False)
    width = changes.pop("decoder_width", 64)
    labels = preset("camvid").labels
    masks = masks_of(folder)
    if "class_weights" in changes:
        count = changes["class_weights"]
        changes["class_weights"] = count(masks.values(), labels.num_classes)
    chosen = preset("camvid").with_changes(crop=SIZE, batch_size=BATCH, **changes)

    keras.utils.set_random_seed(seed)
    root = (
        with_rare_twice(folder, masks, labels.num_classes, work) if sampling else folder
    )
    cache = work / "cache"
    data = keras_frm.load_dataset(
        chosen, root, "train", resize=SIZE, seed=seed, cache=cache, first_step=0
    )
    val = keras_frm.load_dataset(chosen, folder, "val", resize=SIZE, batch_size=1)
    model = keras_frm.build_model(
        chosen, network="frm_lite0", decoder_width=width, weights="imagenet"
    )
    if warm:
        warm_up(model, warm)
    model.compile()
    plain, start = BeforeAveraging(), time.perf_counter()
    steps = len(masks) // BATCH
    model.fit(data, epochs=EPOCHS, steps_per_epoch=steps, verbose=0, callbacks=[plain])
    minutes = (time.perf_counter() - start) / 60
    averaged = keras_frm.evaluate(model, val)
    model.network.set_weights(plain.weights)
    result = keras_frm.evaluate(model, val)

    row = {"choice": name, "seed": seed, "val_miou": percent(result.mean_iou)}
    row["val_miou_averaged"] = percent(averaged.mean_iou)
    row |= dict(zip(labels.classes, map(percent, result.iou), strict=True))
    return row | {"minutes": f"{minutes:.1f}", "machine": machine_name()}


def percent(share):
    return f"{100 * share:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("camvid", type=Path)
    parser.add_argument("--only", nargs="+", choices=CHOICES, default=list(CHOICES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--out", type=Path, default=Path("results/recipes.csv"))
    arguments = parser.parse_args()

    def rows():
        for name in arguments.only:
            for seed in arguments.seeds:
                with tempfile.TemporaryDirectory() as work:
                    yield train_and_measure(name, arguments.camvid, seed, Path(work))

    write_table(rows(), arguments.out)


if __name__ == "__main__":
    main()
