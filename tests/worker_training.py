"""`keras-frm train` on a network of two convolutions: a worker of test_workers.py.

python worker_training.py '{"kill": "TERM", "at": ["train", 3]}' --out RUN and so on,
with TF_CONFIG. Workers other than the first end where they write into the run folder.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import tensorflow as tf
from counted_calls import call_at, end_by
from tiny import toy_model

import keras_frm.cli.datasets
import keras_frm.models.build
from keras_frm import cli, load_dataset
from keras_frm.training.resume import KeepCheckpoints

BATCH, STEPS, VALIDATED = 4, 4, 5
SIZE = ("64", "128")


def small_network(chosen, *_, **__):
    weight = chosen.recipe.contrastive_weight
    classes = chosen.labels.num_classes
    return toy_model(classes, preset=chosen, contrastive_weight=weight)


def small_dataset(name, root, split, **options):
    count = STEPS * BATCH if split == "train" else VALIDATED
    return load_dataset(name, root, split, count=count, **options)


def slow_down(seconds):
    """Let this worker come later to the end of each step than the others."""
    original = KeepCheckpoints.on_train_batch_end

    def late(self, batch, logs=None):
        time.sleep(seconds)
        original(self, batch, logs)

    KeepCheckpoints.on_train_batch_end = late


def forbid_files(run):
    """End the process where it makes, writes or removes a file of the run folder."""
    run = os.path.abspath(run)

    def look(event, arguments):
        if event not in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"):
            return
        path = arguments[0]
        if not isinstance(path, (str, bytes, os.PathLike)):
            return
        inside = os.path.abspath(os.fsdecode(path)).startswith(run)
        reads = event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if inside and not reads:
            print(f"{event} {path}: only the first worker may write", file=sys.stderr)
            sys.stderr.flush()
            os._exit(7)

    sys.addaudithook(look)


def main(options, *arguments):
    options = json.loads(options)
    task = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    if task:
        forbid_files(Path(arguments[arguments.index("--out") + 1]))
    if "kill" in options:
        kind, number = options["at"]
        begin = f"on_{kind}_batch_begin"
        call_at(setattr, begin, number, end_by(options["kill"]))
    slow_down(options.get("late", 0))
    keras_frm.models.build.build_model = small_network
    keras_frm.cli.datasets.load_dataset = small_dataset
    tf.config.threading.set_intra_op_parallelism_threads(1)
    sys.argv = [
        *("keras-frm", "train", "--preset", "synthetic"),
        *("--resize", *SIZE, "--crop", *SIZE, "--batch-size", str(BATCH)),
        *arguments,
    ]
    cli.main()


if __name__ == "__main__":
    # A job in the background of a shell starts with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main(*sys.argv[1:])
