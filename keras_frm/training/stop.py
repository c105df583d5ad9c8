"""What stops a training before its end: a signal, or losses that are not finite."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable

import keras

from keras_frm.training.position import Position

# Float16 finds its loss scale in fewer steps; more come from data or learning rate.
NON_FINITE_LIMIT = 10
_SHOWN_FILES = 16


class StopSignals(contextlib.AbstractContextManager):
    """Note SIGTERM and SIGINT inside the block, so that a training can save first.

    Where there is nothing to save yet the signal ends the process at once, and so does
    a second Ctrl-C. Outside of the main thread signals are left alone.
    """

    def __init__(self):
        self.received = None
        self.nothing_to_save = True
        self._before = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                # A job in the background of a shell ignores Ctrl-C, on purpose.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number, _frame):
        """Keep the signal, or act on it where nothing would be lost."""
        again = self.received is not None and number == signal.SIGINT
        self.received = self.received or number
        if self.nothing_to_save or again:
            self.leave()

    def leave(self) -> None:
        """Raise what ends the process: exit code 0 for SIGTERM, 130 for Ctrl-C."""
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(0)


class StopOnNonFinite(keras.callbacks.Callback):
    """Stop after too many steps in a row whose loss or gradients are not finite.

    The model leaves such steps out and counts them; see `SegmentationModel`.

    Args:
        position: Where the training goes on.
        files_of: Global step -> files of its batch, None where there are none.
        limit: Steps in a row that end the training.
    """

    def __init__(
        self,
        position: Position,
        files_of: Callable[[int], list[str]] | None,
        limit: int = NON_FINITE_LIMIT,
    ):
        super().__init__()
        self.position = position
        self.files_of = files_of
        self.limit = limit

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.skipped_in_a_row) < self.limit:
            return
        step = self.position.first_step_in(self.epoch) + batch
        raise ValueError(
            f"Loss or gradients were not finite in {self.limit} steps in a row, up to "
            f"step {step} in epoch {self.epoch + 1}{self._batch(step)}; look at these "
            "files, or lower the learning rate."
        )

    def _batch(self, step):
        """Say which files the batch of a step holds."""
        if self.files_of is None:
            return ""
        files = list(self.files_of(step))
        more = len(files) - _SHOWN_FILES
        shown = ", ".join(files[:_SHOWN_FILES]) + (f" and {more} more" * (more > 0))
        return f", whose batch is {shown}"
