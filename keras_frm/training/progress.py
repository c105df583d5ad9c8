"""A progress bar over the whole training, with losses and time left."""

import keras
from rich.progress import TextColumn

from keras_frm.progress import timed_progress

_SHOWN = ("loss", "cross_entropy", "contrastive", "mean_iou")


class TrainingProgress(keras.callbacks.Callback):
    """Show epoch, step, time left, losses and mean IoU on one line.

    After each epoch a line with its logs stays on the screen. The bar is there inside
    `with callback.progress`, which puts the terminal right after an error too.
    """

    def __init__(self):
        super().__init__()
        self.progress = timed_progress(TextColumn("{task.fields[losses]}"))

    def on_train_begin(self, logs=None):
        epochs, steps = self.params["epochs"], self.params["steps"]
        total = epochs * steps if steps else None
        self.task = self.progress.add_task("epoch 1", total=total, losses="")

    def on_epoch_begin(self, epoch, logs=None):
        name = f"epoch {epoch + 1}/{self.params['epochs']}"
        self.progress.update(self.task, description=name)
        self.before_epoch = epoch * (self.params["steps"] or 0)

    def on_train_batch_end(self, batch, logs=None):
        self.progress.update(
            self.task,
            completed=self.before_epoch + batch + 1,
            losses=describe(logs, _SHOWN),
        )

    def on_epoch_end(self, epoch, logs=None):
        self.progress.console.print(f"epoch {epoch + 1}: {describe(logs)}")


def describe(logs: dict | None, names: tuple[str, ...] | None = None) -> str:
    """Return logs as "name value" pairs.

    Args:
        logs: Name -> number.
        names: Which of them, in this order; None for all.

    Example:
    >>> describe({"loss": 1.23456, "mean_iou": 0.5}, ("mean_iou",))
    'mean_iou 0.5'
    """
    logs = logs or {}
    chosen = [name for name in (names or logs) if name in logs]
    return "  ".join(f"{name} {float(logs[name]):.4g}" for name in chosen)
