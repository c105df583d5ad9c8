"""Stop a training that does not get better."""

from collections.abc import Callable

import keras

from keras_frm.training.best import BestAndLast


class EarlyStop(keras.callbacks.Callback):
    """Stop when the best epoch lies too far back.

    It asks `BestAndLast`, so it knows as much after a resume as before.

    Args:
        best: What keeps the best epoch; it comes before this in the callbacks.
        patience: Epochs without a better value after which the training stops.
        say: Called with a line for the user.
    """

    def __init__(self, best: BestAndLast, patience: int, say: Callable[[str], None]):
        super().__init__()
        self.best = best
        self.patience = patience
        self.say = say

    def on_epoch_end(self, epoch, logs=None):
        best_epoch = -1 if self.best.best_epoch is None else self.best.best_epoch
        if epoch - best_epoch < self.patience:
            return
        self.model.stop_training = True
        self.say(
            f"stopped: {self.best.monitor} did not get better in {self.patience} "
            f"epochs; the best was {self.best.best:.4f} in epoch {best_epoch + 1}"
        )
