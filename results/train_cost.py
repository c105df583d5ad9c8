"""What a training step costs: each choice beside the plain step, and with size.

    python results/train_cost.py

The recipe of the preset "cityscapes" on VAN-small: cross-entropy, contrastive loss,
SGD, mean IoU. A choice and the plain step each have a process, two threads, and take
steps in turn, so that the ratio inside a round holds on a noisy machine; peak memory is
the process's, with Python and TensorFlow. Two devices are two virtual ones on the same
cores with half the batch each. Writes results/train_cost.csv (choices) and
results/train_growth.csv (crop and batch, each in its own process).
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from table import write_table
from train_step import CLASSES, THREADS, Trainer

HERE = Path(__file__).resolve().parent
CHOICES = {
    "no contrastive loss": {"contrastive_weight": 0.0},
    "mixed_bfloat16": {"dtype": "mixed_bfloat16"},
    "mixed_float16": {"dtype": "mixed_float16"},
    "EMA of the weights": {"weight_ema": 0.999},
    "rematerialised": {"rematerialize": True},
    "xla": {"xla": True},
    "two devices": {"devices": 2},
    "two devices, SyncBN": {"devices": 2, "synchronized": True},
}


def work(settings):
    """Take a step for each line of standard input."""
    import keras
    import tensorflow as tf

    import keras_frm
    from keras_frm.benchmark.machine import machine_name
    from keras_frm.benchmark.random_batch import random_batch
    from keras_frm.layers.blocks.normalization import synchronize_batch_norms
    from keras_frm.presets import preset

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    count, height, width = settings.pop("size")
    devices = settings.pop("devices", 1)
    compiled = settings.pop("xla", False)
    synchronized = settings.pop("synchronized", False)
    chosen = preset("cityscapes").with_changes(
        weight_ema=settings.pop("weight_ema", None)
    )
    strategy = tf.distribute.get_strategy()
    if devices > 1:
        one = tf.config.LogicalDeviceConfiguration()
        processor = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(processor, devices * [one])
        names = [device.name for device in tf.config.list_logical_devices("CPU")]
        strategy = tf.distribute.MirroredStrategy(names)
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = keras_frm.build_model(chosen, **settings)
        model.compile(jit_compile=compiled)
    synchronize_batch_norms(model.network, synchronized)
    # Each device gets all that is passed.
    images, labels = random_batch(count // devices, (height, width), CLASSES)
    ready = {"machine": f"{machine_name()}, TensorFlow {tf.__version__}"}
    print(json.dumps(ready), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        model.train_on_batch(images, labels)
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds}), flush=True)


def trainer(arguments, size, settings):
    """Return a process that trains so."""
    settings = {"backbone": arguments.backbone, "size": size, **settings}
    command = [sys.executable, __file__, "--work", json.dumps(settings)]
    new = Trainer(command)
    new.first = new.step()["seconds"]
    new.step()
    return new


def compare(arguments):
    """Yield the rows of the choices."""
    size = [int(side) for side in arguments.base.split("x")]
    plain = trainer(arguments, size, {})
    seconds = []
    for name, settings in CHOICES.items():
        other = trainer(arguments, size, settings)
        pairs = [
            [p.step()["seconds"] for p in (other, plain)] for _ in range(arguments.runs)
        ]
        pairs = np.array(pairs)  # (runs, 2)
        seconds.extend(pairs[:, 1])
        yield row(arguments, name, other, pairs[:, 0], size) | {
            "step_over_plain": round(float(np.median(pairs[:, 0] / pairs[:, 1])), 3)
        }
        other.end()
    yield row(arguments, "plain", plain, seconds, size) | {"step_over_plain": 1.0}
    plain.end()


def grow(arguments):
    """Yield the rows of crops and batches."""
    sizes = [(1, crop, crop) for crop in arguments.crops]
    sizes += [(batch, 256, 256) for batch in arguments.batches]
    cases = [("plain", size, {}) for size in dict.fromkeys(sizes)]
    largest = (1, max(arguments.crops), max(arguments.crops))
    cases.append(("rematerialised", largest, {"rematerialize": True}))
    for name, size, settings in cases:
        alone = trainer(arguments, size, settings)
        seconds = [alone.step()["seconds"] for _ in range(arguments.growth_runs)]
        yield row(arguments, name, alone, seconds, size)
        alone.end()


def row(arguments, name, process, seconds, size):
    """Return what was measured of one process."""
    return {
        "training": name,
        "backbone": arguments.backbone,
        "batch_and_crop": "x".join(map(str, size)),
        "step_s": round(float(np.median(seconds)), 3),
        "images_per_second": round(size[0] / float(np.median(seconds)), 3),
        "peak_memory_mib": process.peak(),
        "first_step_s": round(process.first, 1),
        "runs": len(seconds),
        "machine": process.ready["machine"],
    }


def main():
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="van_small")
    parser.add_argument("--base", default="2x256x256", help="batch and crop of choices")
    parser.add_argument("--crops", type=int, nargs="+", default=[256, 512, 768, 1024])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--growth-runs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--only", choices=("choices", "growth"))
    parser.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    if arguments.work:
        work(arguments.work)
        return
    if arguments.only != "growth":
        write_table(compare(arguments), arguments.out / "train_cost.csv")
    if arguments.only != "choices":
        write_table(grow(arguments), arguments.out / "train_growth.csv")


if __name__ == "__main__":
    main()
