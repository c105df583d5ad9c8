"""What the context module and the contrastive loss are worth, on Cityscapes at 256x256.

python results/contexts.py CITYSCAPES_FOLDER [--only NAME ...] [--seeds 0 1]

`frm_lite0` with ImageNet weights is trained on images stretched to 256x512, crops of
128x256, with each context and, for FRM, without the contrastive loss, all for the same
number of steps; then measured on `val`. A row goes to results/contexts.csv after each
training. Two processes with one core each (`taskset`) take less time than one with two.
"""

import argparse
import time
from pathlib import Path

import keras
from recipes import percent
from table import write_table

import keras_frm
from keras_frm.benchmark.machine import machine_name
from keras_frm.presets import preset

SIZE, CROP, BATCH = (256, 512), (128, 256), 8
RUNS = {
    "frm": {"context": "frm"},
    "ppm": {"context": "ppm"},
    "dappm": {"context": "dappm"},
    "none": {"context": None},
    "frm, no contrastive loss": {"context": "frm", "contrastive_weight": 0.0},
}


def train_and_measure(name, chosen, options, folder, seed, steps, cache):
    """Train one network; return its row.

    Args:
        name: Name of the run.
        chosen: Preset of Cityscapes.
        options: What `build_model` takes besides.
        folder: Cityscapes at 256x256.
        seed: Of the weights and of the order of the images.
        steps: Updates.
        cache: Folder to keep decoded images in, or None.
    """
    keras.utils.set_random_seed(seed)
    data = keras_frm.load_dataset(
        *(chosen, folder, "train"), resize=SIZE, seed=seed, cache=cache, first_step=0
    )
    val = keras_frm.load_dataset(chosen, folder, "val", resize=SIZE, batch_size=1)
    model = keras_frm.build_model(chosen, **options)
    model.compile()
    start = time.perf_counter()
    model.fit(data, epochs=1, steps_per_epoch=steps, verbose=0)
    minutes = (time.perf_counter() - start) / 60
    result = keras_frm.evaluate(model, val)
    total = keras_frm.profile(model, SIZE)[-1]
    row = {"run": name, "seed": seed, "steps": steps}
    row["val_miou"] = percent(result.mean_iou)
    row |= dict(zip(chosen.labels.classes, map(percent, result.iou), strict=True))
    row["m_parameters"] = f"{total.parameters / 1e6:.2f}"
    row["g_multiply_adds"] = f"{total.multiply_adds / 1e9:.2f}"
    return row | {"minutes": f"{minutes:.1f}", "machine": machine_name()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cityscapes", type=Path)
    parser.add_argument("--only", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--contrastive", type=float, default=0.1)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--out", type=Path, default=Path("results/contexts.csv"))
    given = parser.parse_args()
    chosen = preset("cityscapes_small").with_changes(crop=CROP, batch_size=BATCH)
    shared = {"weights": "imagenet", "contrastive_weight": given.contrastive}
    write_table(
        (
            train_and_measure(
                *(name, chosen, shared | RUNS[name], given.cityscapes),
                *(seed, given.steps, given.cache),
            )
            for name in given.only
            for seed in given.seeds
        ),
        given.out,
    )


if __name__ == "__main__":
    main()
