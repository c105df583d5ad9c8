"""A training step with oneDNN and without, where TensorFlow would leave it out.

python results/onednn_step.py [--networks frm_lite0 frm] [--rounds 3] [--out FILE]

Each round trains a new process each way, in turn: batches of eight random images of
192x384, two CPU threads, the median of ten steps after two. Writes
results/onednn_step.csv.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from table import write_table

from keras_frm.benchmark.machine import machine_name

BATCH, SIZE, STEPS, SKIPPED = 8, (192, 384), 12, 2


def step_time(network):
    """Return the median time of a training step of this process, seconds."""
    import time

    import keras
    import tensorflow as tf

    from keras_frm import build_model

    times = []

    class Clock(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            times.append(-time.perf_counter())

        def on_train_batch_end(self, batch, logs=None):
            times[-1] += time.perf_counter()

    model = build_model("cityscapes_small", network=network)
    model.compile()
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (BATCH, *SIZE, 3), np.uint8)
    masks = random.integers(0, 19, (BATCH, *SIZE), np.uint8)
    data = tf.data.Dataset.from_tensors((images, masks)).repeat()
    model.fit(data, steps_per_epoch=STEPS, verbose=0, callbacks=[Clock()])
    return float(np.median(times[SKIPPED:]))


def measured(network, switch):
    """Return the step time of a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--step-of", network],
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": switch},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


def rows(networks, rounds):
    for network in networks:
        pairs = [[measured(network, switch) for switch in "01"] for _ in range(rounds)]
        without, beside = np.array(pairs).T
        yield {
            "network": network,
            "without_s": f"{np.median(without):.3f}",
            "with_s": f"{np.median(beside):.3f}",
            "ratio_median": f"{np.median(beside / without):.3f}",
            "rounds": rounds,
            "machine": machine_name(),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=["frm_lite0", "frm"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--step-of", help=argparse.SUPPRESS)
    default = Path(__file__).with_suffix(".csv")
    parser.add_argument("--out", type=Path, default=default)
    given = parser.parse_args()
    if given.step_of:
        print(step_time(given.step_of))
    else:
        write_table(rows(given.networks, given.rounds), given.out)


if __name__ == "__main__":
    main()
