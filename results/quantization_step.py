"""Cost of a training step with simulated integers, beside the float network's.

python results/quantization_step.py [--sizes 180x240 128x160] [--runs 15] [--out FILE]

VAN-tiny, decoder width 64, batches of 4, each with its own recipe of the preset
"camvid" (the quantised one averages its weights). Step times are medians of interleaved
steps in one process, so their ratio holds on a noisy machine; peak memory is that of a
process of its own for each, which makes the network, takes the first step, and three
more. Writes results/quantization_step.csv.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
from table import write_table

import keras_frm
from keras_frm.benchmark.machine import machine_name, package_version
from keras_frm.benchmark.peak_memory import own_peak
from keras_frm.benchmark.random_batch import random_batch
from keras_frm.benchmark.timing import interleaved_times

BATCH, CLASSES = 4, 11
KINDS = ("float", "quantised")


def trained_model(kind, size):
    """Return a model after its first step, and the seconds that step took."""
    keras.utils.set_random_seed(0)
    model = keras_frm.build_model("camvid", backbone="van_tiny", decoder_width=64)
    images, labels = random_batch(BATCH, size, CLASSES)
    if kind == "quantised":
        model = keras_frm.quantize_aware(
            model, representative_data=[images], input_shape=size
        )
    model.compile()
    start = time.perf_counter()
    model.train_on_batch(images, labels)
    return model, time.perf_counter() - start


def print_peak(kind, size):
    """Train for four steps and print the peak memory of this process."""
    model, _ = trained_model(kind, size)
    batch = random_batch(BATCH, size, CLASSES)
    for _ in range(3):
        model.train_on_batch(*batch)
    print(own_peak())


def peak_of(kind, text):
    """Return the peak memory, in bytes, of a process that trains one kind."""
    command = [sys.executable, __file__, "--sizes", text, "--peak", kind]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def measure(text, runs):
    """Yield the rows of one size."""
    size = tuple(int(side) for side in text.split("x"))
    batch = random_batch(BATCH, size, CLASSES)
    models, first = zip(*(trained_model(kind, size) for kind in KINDS), strict=True)
    calls = [lambda model=model: model.train_on_batch(*batch) for model in models]
    times = interleaved_times(calls, runs)  # (runs, 2)
    for position, kind in enumerate(KINDS):
        yield {
            "crop": text,
            "network": kind,
            "step_ms": round(float(np.median(times[:, position])), 1),
            "step_over_float": round(
                float(np.median(times[:, position] / times[:, 0])), 3
            ),
            "runs": runs,
            "first_step_s": round(first[position], 1),
            "peak_memory_mib": round(peak_of(kind, text) / 2**20),
            "machine": f"{machine_name()}, TensorFlow {package_version('tensorflow')}",
        }


def main():
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["180x240", "128x160"])
    parser.add_argument("--runs", type=int, default=15)
    default = Path(__file__).with_suffix(".csv")
    parser.add_argument("--out", type=Path, default=default)
    parser.add_argument("--peak", choices=KINDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        size = tuple(int(side) for side in arguments.sizes[0].split("x"))
        print_peak(arguments.peak, size)
        return
    rows = (row for text in arguments.sizes for row in measure(text, arguments.runs))
    write_table(rows, arguments.out)


if __name__ == "__main__":
    main()
