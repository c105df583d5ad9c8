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
        first_epoch: Epoch from which on it counts, 0 for the training's first.
    """

    def __init__(
        self,
        best: BestAndLast,
        patience: int,
        say: Callable[[str], None],
        first_epoch: int = 0,
    ):
        super().__init__()
        self.best = best
        self.patience = patience
        self.say = say
        self.first_epoch = first_epoch

    def on_epoch_end(self, epoch, logs=None):
        best_epoch = -1 if self.best.best_epoch is None else self.best.best_epoch
        if epoch - max(best_epoch, self.first_epoch - 1) < self.patience:
            return
        self.model.stop_training = True
        self.say(
            f"stopped: {self.best.monitor} did not get better in {self.patience} "
            f"epochs; the best was {self.best.best:.4f} in epoch {best_epoch + 1}"
        )
