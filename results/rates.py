"""What a learning rate is worth, on Cityscapes at 256x256.

python results/rates.py CITYSCAPES [--rates 2e-3 5e-4 2e-4] [--class-weights sqrt none]

`frm_lite0` with ImageNet weights takes 300 steps of eight images at 256x128, at one
rate from the first to the last, and is measured on the first 150 images of `val`; a
row goes to results/rates.csv after each. Two processes with one core each (`taskset`)
take less time than one with two.
"""

import argparse
import time
from pathlib import Path

import keras
from table import write_table

import keras_frm
from keras_frm.benchmark.machine import machine_name
from keras_frm.presets import preset

SIZE, BATCH, STEPS, IMAGES = (128, 256), 8, 300, 150


def train_and_measure(folder, rate, class_weights):
    """Train at one rate; return its row."""
    chosen = preset("cityscapes_small").with_changes(crop=SIZE, batch_size=BATCH)
    if class_weights == "none":
        chosen = chosen.with_changes(class_weights=None)
    keras.utils.set_random_seed(0)
    options = {"resize": SIZE}
    data = keras_frm.load_dataset(
        chosen, folder, "train", seed=0, first_step=0, **options
    )
    val = keras_frm.load_dataset(chosen, folder, "val", batch_size=1, **options)
    model = keras_frm.build_model(chosen, weights="imagenet")
    model.compile(optimizer=keras.optimizers.AdamW(rate, weight_decay=1e-2))
    start = time.perf_counter()
    history = model.fit(data, epochs=1, steps_per_epoch=STEPS, verbose=0).history
    minutes = (time.perf_counter() - start) / 60
    result = keras_frm.evaluate(model, val.take(IMAGES))
    row = {"rate": f"{rate:g}", "class_weights": class_weights}
    row |= {"loss": f"{history['loss'][-1]:.3f}", "val_miou": percent(result.mean_iou)}
    iou = map(percent, result.iou)
    row |= dict(zip(chosen.labels.classes, iou, strict=True))
    return row | {"minutes": f"{minutes:.1f}", "machine": machine_name()}


def percent(share):
    return f"{100 * share:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cityscapes", type=Path)
    parser.add_argument("--rates", nargs="+", type=float, default=[2e-3, 5e-4, 2e-4])
    parser.add_argument("--class-weights", nargs="+", default=["sqrt"])
    parser.add_argument("--out", type=Path, default=Path("results/rates.csv"))
    given = parser.parse_args()
    write_table(
        (
            train_and_measure(given.cityscapes, rate, weights)
            for rate in given.rates
            for weights in given.class_weights
        ),
        given.out,
    )


if __name__ == "__main__":
    main()
