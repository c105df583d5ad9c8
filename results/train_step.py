"""A training step in Keras beside the same network's in PyTorch.

    python results/train_step.py --torch-python PYTHON [--sizes 2x256x256 4x352x480]

VAN-small, FRM, bilinear FPN, 19 classes, float32, cross-entropy, SGD with momentum and
coupled weight decay, drop path off; the same weights, batch and crop. Two processes
live side by side and take steps in turn, each with as many threads on the same cores,
so the ratio inside a round holds on a noisy machine. Parameters and the losses of all
steps are compared: they must be equal for the ratio to mean anything. PYTHON has torch
2.13. Writes results/train_step.csv.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from table import write_table

from keras_frm.benchmark.machine import machine_name
from keras_frm.benchmark.random_batch import random_batch

THREADS, CLASSES = 2, 19
HERE = Path(__file__).resolve().parent


def write_batch(path, count, height, width):
    """Write a batch where both processes find it."""
    images, labels = random_batch(count, (height, width), CLASSES)
    np.savez(path, images=images, labels=labels, classes=CLASSES)


def keras_process(batch, weights, threads):
    """Take a step for each line of standard input, having written the weights."""
    import keras
    import tensorflow as tf

    import keras_frm
    from keras_frm.losses import CrossEntropy
    from keras_frm.optimizers.coupled_sgd import CoupledSGD

    tf.config.threading.set_intra_op_parallelism_threads(int(threads))
    tf.config.threading.set_inter_op_parallelism_threads(int(threads))
    keras.utils.set_random_seed(0)
    model = keras_frm.build_model(
        "cityscapes", contrastive_weight=0.0, drop_path_rate=0.0
    )
    model.compile(CoupledSGD(0.01, momentum=0.9, l2=1e-4), CrossEntropy(), metrics=[])
    data = np.load(batch)
    images, labels = data["images"], data["labels"]
    np.savez(weights, *[w.numpy() for w in model.trainable_weights])
    ready = {
        "parameters": sum(int(np.prod(w.shape)) for w in model.trainable_weights),
        "version": f"TensorFlow {tf.__version__}, Keras {keras.__version__}",
    }
    print(json.dumps(ready), flush=True)
    for _ in sys.stdin:
        start, busy = time.perf_counter(), time.process_time()
        loss = model.train_on_batch(images, labels, return_dict=True)["cross_entropy"]
        seconds, busy = time.perf_counter() - start, time.process_time() - busy
        # Keras reports the mean since the start.
        model.reset_metrics()
        answer = {"seconds": seconds, "busy": busy, "loss": float(loss)}
        print(json.dumps(answer), flush=True)


class Trainer:
    """A process that trains a step when told to."""

    def __init__(self, command, threads=THREADS):
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )
        self.ready = self.answer()

    def answer(self):
        """Read the next line."""
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.process.args} ended early, see above")
        return json.loads(line)

    def step(self):
        """Take one step: {"seconds", "busy" (of all cores), "loss"}."""
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        return self.answer()

    def peak(self):
        """Return the process's peak resident memory in MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(x for x in status.splitlines() if x.startswith("VmHWM:"))
        return round(int(line.split()[1]) / 1024)

    def end(self):
        """Let the process end."""
        self.process.stdin.close()
        self.process.wait()


def measure(text, folder, arguments):
    """Return the row of one size."""
    batch, weights = folder / f"{text}.npz", folder / f"{text}.weights.npz"
    write_batch(batch, *(int(side) for side in text.split("x")))
    ours = [sys.executable, __file__, "--keras", str(batch), str(weights)]
    ours.append(str(arguments.threads))
    # -P: a neighbour, profile.py, would stand before the library's module.
    theirs = [arguments.torch_python, "-P", str(HERE / "torch_step.py")]
    theirs += [str(batch), str(weights), str(arguments.threads)]
    trainers = [Trainer(ours, arguments.threads)]  # it writes the weights
    trainers.append(
        Trainer(theirs + ["--compile"] * arguments.compile, arguments.threads)
    )
    if trainers[0].ready["parameters"] != trainers[1].ready["parameters"]:
        sys.exit(f"not the same network: {[t.ready for t in trainers]}")
    rounds = [
        [trainer.step() for trainer in trainers]
        for _ in range(arguments.warm_up + arguments.runs)
    ]
    losses = np.array([[step["loss"] for step in pair] for pair in rounds])
    seconds = np.array([[step["seconds"] for step in pair] for pair in rounds])
    seconds = seconds[arguments.warm_up :]
    busy = np.array([[step["busy"] for step in pair] for pair in rounds])
    busy = busy[arguments.warm_up :]
    ratios = seconds[:, 0] / seconds[:, 1]
    row = {
        "batch_and_crop": text,
        "keras_over_torch": round(float(np.median(ratios)), 3),
        "quarter": round(float(np.quantile(ratios, 0.25)), 3),
        "three_quarters": round(float(np.quantile(ratios, 0.75)), 3),
        "processor_time_ratio": round(float(np.median(busy[:, 0] / busy[:, 1])), 3),
        "keras_s": round(float(np.median(seconds[:, 0])), 3),
        "torch_s": round(float(np.median(seconds[:, 1])), 3),
        "rounds": arguments.runs,
        "keras_peak_mib": trainers[0].peak(),
        "torch_peak_mib": trainers[1].peak(),
        "parameters": trainers[0].ready["parameters"],
        "first_losses": " ".join(f"{loss:.6f}" for loss in losses[0]),
        "largest_loss_difference": float(f"{np.abs(np.diff(losses)).max():.2g}"),
        "versions": "; ".join(trainer.ready["version"] for trainer in trainers),
        "threads": arguments.threads,
        "machine": machine_name(),
    }
    for trainer in trainers:
        trainer.end()
    return row


def main():
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch-python", help="a Python that has torch")
    parser.add_argument("--sizes", nargs="+", default=["2x256x256", "4x352x480"])
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--threads", type=int, default=THREADS)
    parser.add_argument("--compile", action="store_true", help="torch.compile")
    parser.add_argument("--out", type=Path, default=HERE / "train_step.csv")
    parser.add_argument("--keras", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
    if arguments.keras:
        keras_process(*arguments.keras)
        return
    if not arguments.torch_python:
        parser.error("give --torch-python")
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(text, Path(folder), arguments) for text in arguments.sizes]
    write_table(rows, arguments.out)


if __name__ == "__main__":
    main()
