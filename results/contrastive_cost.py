"""Cost of the contrastive loss: step time and peak memory with it and without.

    python results/contrastive_cost.py > results/contrastive_cost.csv

Step times are medians of interleaved steps in one process, so their ratio holds on a
noisy machine; peak memory is that of a process of its own for each.
"""

import csv
import resource
import statistics
import subprocess
import sys
import time

import numpy as np

import keras_frm

CROP, BATCH, STEPS = (128, 160), 4, 15
WEIGHTS = (1.0, 0.0)


def trained_model(weight):
    """Return a model after one step, and the batch it trains on."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH, *CROP, 3), np.uint8)
    blocks = rng.integers(0, 11, (BATCH, CROP[0] // 16, CROP[1] // 16), np.uint8)
    labels = blocks.repeat(16, axis=1).repeat(16, axis=2)
    model = keras_frm.build_model(
        "camvid", backbone="van_tiny", decoder_width=64, contrastive_weight=weight
    )
    model.compile()
    model.train_on_batch(images, labels)
    return model, (images, labels)


def main():
    if len(sys.argv) > 1:
        model, batch = trained_model(float(sys.argv[1]))
        for _ in range(3):
            model.train_on_batch(*batch)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    models = {weight: trained_model(weight) for weight in WEIGHTS}
    seconds = {weight: [] for weight in WEIGHTS}
    for _ in range(STEPS):
        for weight, (model, batch) in models.items():
            start = time.perf_counter()
            model.train_on_batch(*batch)
            seconds[weight].append(time.perf_counter() - start)
    ratios = [a / b for a, b in zip(*seconds.values(), strict=True)]
    table = csv.writer(sys.stdout)
    table.writerow(["contrastive_weight", "step_over_step_without", "peak_memory_mib"])
    for weight, ratio in zip(WEIGHTS, (statistics.median(ratios), 1.0), strict=True):
        memory = subprocess.run(
            [sys.executable, __file__, str(weight)], capture_output=True, check=True
        )
        table.writerow([weight, round(ratio, 3), round(float(memory.stdout))])


if __name__ == "__main__":
    main()
