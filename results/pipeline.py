"""Images per second of the training pipeline, stage by stage, and the cores it needs.

    python results/pipeline.py DATA_FOLDER [--rounds 5] > results/pipeline.csv

DATA_FOLDER holds `samples` and `camvid`. Cityscapes: the two real 2048x1024 frames
as they are, eight times each, with the sample's mask brought to that size (its PNG is
smaller than that of a real mask), crops of 1024x1024, batch 16. CamVid: its training
split, crops of 352x480, batch 16. Cached files are in memory when they are timed.

Wall rates are those of this machine while nothing else runs; rates per core are images
over processor seconds of all threads. Last, half-size CamVid as in results/camvid
beside the training step of VAN-tiny. Medians of rounds that alternate between stages.
"""

import argparse
import itertools
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf
from table import write_table

import keras_frm
from keras_frm.data.augmentation import augment
from keras_frm.data.examples import file_examples
from keras_frm.data.sources import find_pairs

BATCH, CORES, DEVICE_RATE = 16, os.cpu_count(), 100
HALF_SIZE = {"batch_size": 4, "resize": (180, 240), "crop": (128, 160)}


def write_cityscapes(samples, root):
    """Write 16 pairs of 2048x1024 in Cityscapes' layout."""
    frames = sorted((samples / "cityscapes_frames").glob("*.png"))
    (small,) = (samples / "cityscapes").rglob("*_labelIds.png")
    ids = cv2.imread(str(small), cv2.IMREAD_UNCHANGED)
    ids = cv2.resize(ids, (2048, 1024), interpolation=cv2.INTER_NEAREST)
    for n, frame in zip(range(16), itertools.cycle(frames), strict=False):
        paths = [
            root / folder / "train/frankfurt" / f"frankfurt_{n:06d}_000000_{ending}.png"
            for folder, ending in (
                ("leftImg8bit", "leftImg8bit"),
                ("gtFine", "gtFine_labelIds"),
            )
        ]
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(frame, paths[0])
        cv2.imwrite(str(paths[1]), ids)
    return root


def timed(work, count, images=1):
    """Return images per second of wall time and of processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(count):
        work()
    images *= count
    return (
        images / (time.perf_counter() - wall),
        images / (time.process_time() - processor),
    )


def stages(name, root, crop, batches, cache):
    """Return stage -> function that times it."""
    examples = file_examples(find_pairs(name, root, "train"), None, False, cache)
    data = keras_frm.load_dataset(
        name,
        root,
        "train",
        batch_size=BATCH,
        crop=crop,
        first_step=0,
        workers=CORES,
        cache=cache,
    )
    if cache:
        for index in range(examples.count):
            examples.read(index)
    numbers = itertools.cycle(range(examples.count))
    one_view = tf.function(
        lambda image, label, seed: augment(image, label, seed, crop=crop),
        input_signature=[
            tf.TensorSpec((None, None, 3), tf.uint8),
            tf.TensorSpec((None, None), tf.uint8),
            tf.TensorSpec((2,), tf.int64),
        ],
    )

    def decode():
        return examples.read(next(numbers))

    def decode_and_augment():
        one_view(*decode(), np.random.default_rng().integers(0, 10**9, 2))

    def pipeline():
        stream = iter(data)
        next(stream)
        return timed(lambda: next(stream), batches, BATCH)

    decode_and_augment()
    return {
        "decode": lambda: timed(decode, batches * BATCH),
        "decode, augment": lambda: timed(decode_and_augment, batches * BATCH),
        "decode, augment, batch": pipeline,
    }


def half_size_stages(root):
    """Return the pipeline and the training step of a small model as stages."""
    data = keras_frm.load_dataset("camvid", root, "train", first_step=0, **HALF_SIZE)
    model = keras_frm.build_model("camvid", backbone="van_tiny", decoder_width=64)
    model.compile()
    images, labels = next(iter(data))
    model.train_on_batch(images, labels)

    def pipeline():
        stream = iter(data)
        next(stream)
        return timed(lambda: next(stream), 60, len(images))

    def train():
        return timed(lambda: model.train_on_batch(images, labels), 8, len(images))

    return {"decode, resize, augment, batch": pipeline, "training step": train}


def measure(works, rounds):
    """Return stage -> median rates of rounds that go through all stages."""
    rates = [{stage: work() for stage, work in works.items()} for _ in range(rounds)]
    return {
        stage: [statistics.median(column) for column in zip(*measured, strict=True)]
        for stage in works
        for measured in [[rate[stage] for rate in rates]]
    }


def row(data, cache, stage, wall, per_core):
    """Return the row of a stage."""
    return {
        "data": data,
        "cache": cache,
        "stage": stage,
        "images/s": f"{wall:.1f}",
        "images/s per core": f"{per_core:.1f}",
        f"cores for {DEVICE_RATE} images/s": f"{DEVICE_RATE / per_core:.1f}",
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        cityscapes = write_cityscapes(arguments.data / "samples", folder / "data")
        camvid = arguments.data / "camvid"
        works = {}
        for cached, cache in (("no", None), ("yes", folder / "cache")):
            for title, name, root, crop, batches in (
                ("Cityscapes", "cityscapes", cityscapes, (1024, 1024), 2),
                ("CamVid", "camvid", camvid, (352, 480), 10),
            ):
                for stage, work in stages(name, root, crop, batches, cache).items():
                    works[title, cached, stage] = work
        for stage, work in half_size_stages(camvid).items():
            works["CamVid, half size", "no", stage] = work
        rates = measure(works, arguments.rounds)
    write_table(row(*place, *rates[place]) for place in rates)


if __name__ == "__main__":
    main()
