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
from keras_frm.optimizers.loss_scaling import without_loss_scaling
from keras_frm.presets import preset

SIZE = (180, 240)
EPOCHS, BATCH = 12, 8

ADAMW = {"optimizer": "adamw", "learning_rate": 2e-3, "weight_decay": 1e-2}
ADAMW |= {"contrastive_weight": 0.0, "warmup_steps": 50, "weight_ema": 0.99}
WEIGHTED = ADAMW | {"weight_power": 0.5}
SGD = {"optimizer": "sgd", "weight_decay": 1e-4}
CHOICES = {
    "sgd": ADAMW | SGD | {"learning_rate": 0.03},
    "adamw": ADAMW,
    "weights": WEIGHTED,
    "balanced": ADAMW | {"weight_power": 1.0},
    "ohem": WEIGHTED | {"loss": "ohem", "ohem_threshold": 0.7, "ohem_kept": 43200},
    "backbone_0.3": WEIGHTED | {"backbone_multiplier": 0.3},
    "backbone_0.1": WEIGHTED | {"backbone_multiplier": 0.1},
    "contrastive_0.1": WEIGHTED | {"contrastive_weight": 0.1},
    "contrastive_0.1_warm": WEIGHTED | {"contrastive_weight": 0.1, "warm": 200},
    "contrastive_1_warm": WEIGHTED | {"contrastive_weight": 1.0, "warm": 200},
    "sampling": WEIGHTED | {"sampling": True},
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


def pixel_counts(folder, num_classes):
    """Return the pixels of each class in each training mask, by the file's stem."""
    counts = {}
    for path in sorted((folder / "trainannot").iterdir()):
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        counts[path.stem] = np.bincount(mask.ravel(), minlength=256)[:num_classes]
    return counts


def power_of_frequency(counts, power):
    """Return weights (median frequency / frequency) ** power; 0.5 is "sqrt"."""
    pixels = sum(counts.values()).astype(float)
    weights = (np.median(pixels) / pixels) ** power
    return tuple(weights.round(4).tolist())


def with_rare_twice(folder, counts, into):
    """Link the training images, twice the half with the largest share of the rarest."""
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
    counts = pixel_counts(folder, labels.num_classes)
    if "weight_power" in changes:
        power = changes.pop("weight_power")
        changes["class_weights"] = power_of_frequency(counts, power)
    chosen = preset("camvid").with_changes(crop=SIZE, batch_size=BATCH, **changes)

    keras.utils.set_random_seed(seed)
    root = with_rare_twice(folder, counts, work) if sampling else folder
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
    steps = len(counts) // BATCH
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
