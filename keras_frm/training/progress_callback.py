"""A progress bar over the whole training, with losses, speed and time left."""

import time

import keras
from rich.progress import TextColumn

from keras_frm.progress import timed_progress
from keras_frm.training.position import Position

_SHOWN = ("loss", "cross_entropy", "contrastive", "mean_iou")
# The learning rate is computed for each line, so it is not asked after every step.
_SECONDS_BETWEEN_LINES = 0.5


class TrainingProgress(keras.callbacks.Callback):
    """Show epoch, step, time left, losses, learning rate and speed on one line.

    After each epoch a line with its logs stays on the screen. The bar is there inside
    `with callback.progress`, which puts the terminal right after an error too.

    Args:
        batch_size: Images in a step, for images/s.
        position: Where the training goes on; the line counts the steps before, too.
    """

    def __init__(self, batch_size: int | None, position: Position):
        super().__init__()
        self.progress = timed_progress(TextColumn("{task.fields[losses]}"))
        self.batch_size = batch_size
        self.position = position
        self.task = None

    def on_train_begin(self, logs=None):
        if self.task is None:
            self.task = self.progress.add_task(
                f"epoch {self.position.epoch + 1}",
                total=self.params["epochs"] * self.position.steps_per_epoch,
                completed=self.position.global_step,
                losses="",
            )

    def on_epoch_begin(self, epoch, logs=None):
        name = f"epoch {epoch + 1}/{self.params['epochs']}"
        self.progress.update(self.task, description=name)
        self.before_epoch = self.position.first_step_in(epoch)
        self.counted_from = None

    def on_train_batch_end(self, batch, logs=None):
        now = time.monotonic()
        if self.counted_from is None:  # the first step builds the graph
            self.counted_from = self.shown_at = now
            self.first_batch = batch
        elif now - self.shown_at < _SECONDS_BETWEEN_LINES:
            return
        self.shown_at = now
        self.progress.update(
            self.task,
            completed=self.before_epoch + batch + 1,
            losses=f"{describe(logs, _SHOWN)}  {self._rates(batch, now)}",
        )

    def on_epoch_end(self, epoch, logs=None):
        done = (epoch + 1) * self.position.steps_per_epoch
        self.progress.update(self.task, completed=done)
        self.say(f"epoch {epoch + 1}: {describe(logs)}")

    def say(self, line: str) -> None:
        """Print a line that stays above the bar."""
        self.progress.console.print(line, highlight=False, soft_wrap=True)

    def _rates(self, batch, now):
        """Return learning rate and images per second."""
        rates = {"lr": float(self.model.optimizer.learning_rate)}
        if self.batch_size and now > self.counted_from:
            images = (batch - self.first_batch) * self.batch_size
            rates["images/s"] = images / (now - self.counted_from)
        return describe(rates)


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
