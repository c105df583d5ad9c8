"""Best and last weights, written whole or not at all."""

import math
from pathlib import Path

import keras

from keras_frm.training.average import AveragedWeights
from keras_frm.training.position import Position
from keras_frm.training.run_folder import BEST, LAST, save_model


class BestAndLast(keras.callbacks.Callback):
    """Save the model after each epoch, and its network whenever it is the best.

    `last.keras` holds the model and its optimizer, `best.keras` the network alone. Both
    are written beside and renamed, so a killed process leaves the last complete one.

    Args:
        folder: The run folder, None to write nothing.
        average: What swaps averaged weights in, if the best ones are to be those.
        position: Where the training goes on: the best value so far.
        monitor: Log that decides what is best; the highest wins.
    """

    def __init__(
        self,
        folder: Path | None,
        average: AveragedWeights | None = None,
        position: Position | None = None,
        monitor: str = "val_mean_iou",
    ):
        super().__init__()
        self.folder = folder
        self.average = average
        self.monitor = monitor
        self.best, self.best_epoch = -math.inf, None
        if position is not None and position.best_epoch is not None:
            self.best, self.best_epoch = position.best, position.best_epoch

    def on_epoch_end(self, epoch, logs=None):
        if self.folder is not None:
            save_model(self.model, self.folder / LAST)
        value = (logs or {}).get(self.monitor)
        if value is not None and value > self.best:
            self.best, self.best_epoch = float(value), epoch
            if self.folder is not None:
                self._save_best()

    def _save_best(self):
        """Save the network, with the weights that were validated."""
        if self.average is None:
            save_model(self.model.network, self.folder / BEST)
            return
        with self.average.swapped():
            save_model(self.model.network, self.folder / BEST)
