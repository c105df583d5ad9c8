"""Best and last weights, written whole or not at all."""

import math
from pathlib import Path

import keras

from keras_frm.training.run_folder import BEST, LAST, save_model


class Checkpoint(keras.callbacks.Callback):
    """Save the model after each epoch, and its network whenever it is the best.

    `last.keras` holds the whole training state, `best.keras` the network alone. Both
    are written beside and renamed, so a killed process leaves the last complete one.

    Args:
        folder: The run folder.
        monitor: Log that decides what is best; the highest wins.
        average: What swaps averaged weights in, if the best ones are to be those.
    """

    def __init__(
        self,
        folder: Path,
        monitor: str = "val_mean_iou",
        average: keras.callbacks.SwapEMAWeights | None = None,
    ):
        super().__init__()
        self.folder = folder
        self.average = average
        self.monitor = monitor
        self.best = -math.inf
        self.best_epoch = None

    def on_epoch_end(self, epoch, logs=None):
        save_model(self.model, self.folder / LAST)
        value = (logs or {}).get(self.monitor)
        if value is not None and value > self.best:
            self.best, self.best_epoch = float(value), epoch
            self._save_best()

    def _save_best(self):
        """Save the network, with the weights that were validated."""
        if self.average is None:
            save_model(self.model.network, self.folder / BEST)
            return
        self.average.on_test_begin()
        save_model(self.model.network, self.folder / BEST)
        self.average.on_test_end()
