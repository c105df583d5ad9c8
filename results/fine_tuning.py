"""Fine-tuning to other classes: 50 images, ten minutes, from several weights.

python results/fine_tuning.py CAMVID_FOLDER WORK_FOLDER [--epochs 30]

Every seventh of CamVid's training images becomes a folder of one's own, with every
fifth of `val` to choose by, and is trained on at 240x320 by the commands of the README:
from `cityscapes256`, from ImageNet, from random weights. Measured on all test images.
Writes results/fine_tuning.csv.
"""

import argparse
import csv
import subprocess
import sys
import time
from pathlib import Path

from table import write_table

from keras_frm.benchmark.machine import machine_name
from keras_frm.labels import CAMVID

COUNT, SIZE = 50, (240, 320)
# Split -> every how manieth image is taken.
SPLITS = {"train": 7, "val": 5, "test": 1}
STARTS = {
    "cityscapes256": ("--weights", "cityscapes256"),
    "imagenet": ("--network", "frm_lite0", "--weights", "imagenet"),
    "random": ("--network", "frm_lite0"),
}


def own_folder(camvid, folder):
    """Link CamVid's images into the layout of a folder of one's own."""
    for split, every in SPLITS.items():
        images = sorted((camvid / split).iterdir())[::every]
        for image in images[:COUNT] if split == "train" else images:
            mask = camvid / f"{split}annot" / f"{image.stem}.png"
            for path, kind in ((image, "images"), (mask, "masks")):
                link = folder / kind / split / path.name
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path.resolve())
    with (folder / "classes.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "name", "r", "g", "b"))
        for index, (name, colour) in enumerate(
            zip(CAMVID.classes, CAMVID.palette, strict=True)
        ):
            writer.writerow((index, name, *colour))
        writer.writerow((len(CAMVID.classes), "ignore", 0, 0, 0))
    return folder


def keras_frm(*arguments):
    program = Path(sys.executable).with_name("keras-frm")
    subprocess.run([program, *map(str, arguments)], check=True)


def train_and_measure(name, data, work, epochs):
    """Train from one start; return its row."""
    run, start = work / name, time.perf_counter()
    keras_frm(
        *("train", "--preset", "folder", "--data", data, "--out", run),
        *("--resize", *SIZE, "--crop", *SIZE, "--epochs", epochs, "--seed", 0),
        *("--class-weights", "sqrt", *STARTS[name]),
    )
    minutes = (time.perf_counter() - start) / 60
    measured = ("--split", "test", "--resize", *SIZE, "--out", run / "iou")
    keras_frm("evaluate", run, *measured)
    with (run / "iou" / "iou.csv").open() as file:
        scores = {row["class"]: row["iou"] for row in csv.DictReader(file)}
    row = {"start": name, "images": COUNT, "epochs": epochs}
    row["test_miou"] = f"{100 * float(scores.pop('mean')):.1f}"
    scores.pop("all pixels")
    row |= {c: f"{100 * float(iou):.1f}" if iou else "" for c, iou in scores.items()}
    return row | {"minutes": f"{minutes:.1f}", "machine": machine_name()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("camvid", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--only", nargs="+", choices=STARTS, default=list(STARTS))
    default = Path(__file__).with_suffix(".csv")
    parser.add_argument("--out", type=Path, default=default)
    given = parser.parse_args()
    data = own_folder(given.camvid, given.work / "my_street")
    write_table(
        (train_and_measure(n, data, given.work, given.epochs) for n in given.only),
        given.out,
    )


if __name__ == "__main__":
    main()
