"""Cost of the contrastive loss: step time and peak memory with it and without.

    python results/contrastive_cost.py > results/contrastive_cost.csv

Step times are medians of interleaved steps in one process, so their ratio holds on a
noisy machine; peak memory is that of a process of its own for each.
"""

import argparse
import statistics
import subprocess
import sys
import time

from table import write_table

import keras_frm
from keras_frm.evaluation.peak_memory import own_peak
from keras_frm.evaluation.random_batch import random_batch

CROP, BATCH, CLASSES, STEPS = (128, 160), 4, 11, 15
WEIGHTS = (1.0, 0.0)


def trained_model(weight):
    """Return a model after one step, and the batch it trains on."""
    images, labels = random_batch(BATCH, CROP, CLASSES)
    model = keras_frm.build_model(
        "camvid", backbone="van_tiny", decoder_width=64, contrastive_weight=weight
    )
    model.compile()
    model.train_on_batch(images, labels)
    return model, (images, labels)


def print_peak(weight):
    """Train for four steps and print the peak memory of this process."""
    model, batch = trained_model(weight)
    for _ in range(3):
        model.train_on_batch(*batch)
    print(own_peak())


def measure():
    """Yield the row of each weight."""
    models = {weight: trained_model(weight) for weight in WEIGHTS}
    seconds = {weight: [] for weight in WEIGHTS}
    for _ in range(STEPS):
        for weight, (model, batch) in models.items():
            start = time.perf_counter()
            model.train_on_batch(*batch)
            seconds[weight].append(time.perf_counter() - start)
    ratios = [a / b for a, b in zip(*seconds.values(), strict=True)]
    for weight, ratio in zip(WEIGHTS, (statistics.median(ratios), 1.0), strict=True):
        memory = subprocess.run(
            [sys.executable, __file__, "--peak", str(weight)],
            capture_output=True,
            check=True,
        )
        yield {
            "contrastive_weight": weight,
            "step_over_step_without": round(ratio, 3),
            "peak_memory_mib": round(float(memory.stdout) / 2**20),
        }


def main():
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peak", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak is not None:
        print_peak(arguments.peak)
        return
    write_table(measure())


if __name__ == "__main__":
    main()
