"""A small training that ends as it is told to: run by the tests in a process.

python resumable_training.py RUN '{"kill": "KILL", "at": ["step", 5]}'
"""

import json
import signal
import sys
from pathlib import Path

import keras
import tensorflow as tf
from counted_calls import call_at, end_by
from tiny import toy_model

from keras_frm import load_dataset, recipe
from keras_frm.cli import app, main
from keras_frm.labels import CITYSCAPES
from keras_frm.presets import preset
from keras_frm.training.run_folder import new_run
from keras_frm.training.train import train

EPOCHS, STEPS, BATCH = 3, 4, 2
SIZE = (64, 128)
BEGINS = {"step": "on_train_batch_begin", "validation": "on_test_batch_begin"}


def stream(first_step):
    return load_dataset(
        "synthetic",
        resize=SIZE,
        crop=SIZE,
        batch_size=BATCH,
        count=STEPS * BATCH,
        first_step=first_step,
    )


def make_model(weight_ema=None, accumulate=1):
    keras.utils.set_random_seed(5)
    chosen = preset("synthetic").with_changes(weight_ema=weight_ema)
    model = toy_model(19, preset=chosen)
    arguments = recipe(chosen)
    if accumulate > 1:
        arguments["optimizer"].gradient_accumulation_steps = accumulate
    model.compile(**arguments)
    return model


def run(folder, options):
    tf.config.experimental.enable_op_determinism()
    if "kill" in options:
        place, number = options["at"]
        call_at(setattr, BEGINS[place], number, end_by(options["kill"]))
    model = make_model(options.get("weight_ema"), options.get("accumulate", 1))
    validation = load_dataset(
        "synthetic", split="val", count=6, resize=SIZE, batch_size=2
    )
    with new_run(folder, {"command": "train"}, CITYSCAPES, resume=True):
        train(
            *(model, stream, validation, folder, CITYSCAPES),
            epochs=EPOCHS,
            checkpoint_minutes=options.get("minutes", 10.0),
        )


if __name__ == "__main__":
    # A job in the background of a shell starts with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    arguments = Path(sys.argv[1]), json.loads(sys.argv[2])
    app.app = lambda **_: run(*arguments)
    main()
