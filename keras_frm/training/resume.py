"""Go on where a training was, and keep what is needed to go on again."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import keras

from keras_frm.training import variables
from keras_frm.training.agreement import Agreement
from keras_frm.training.average import AveragedWeights
from keras_frm.training.best import BestAndLast
from keras_frm.training.checkpoint import write_checkpoint
from keras_frm.training.position import Position
from keras_frm.training.run_folder import LOG
from keras_frm.training.stop import StopSignals

# Seconds in which the others get the last they asked this worker for.
_PARTING = 1.0


class ResumedEpoch(keras.callbacks.Callback):
    """Do the rest of an epoch that was begun: its metrics so far, its last steps.

    One `fit` does the rest and the epochs after it, for each `fit` ends by putting
    averaged weights into the model. It comes first in the callbacks.

    Args:
        position: Where the training goes on.
        metrics: What `variables.gather` returned there.
    """

    def __init__(self, position: Position, metrics: list):
        super().__init__()
        self.position = position
        self.metrics = metrics
        self.is_cut = False

    def on_epoch_begin(self, epoch, logs=None):
        self.is_resumed = epoch == self.position.epoch and self.position.step > 0
        if self.is_resumed:
            variables.restore_metrics(self.model, self.metrics)

    def on_train_batch_end(self, batch, logs=None):
        done = self.position.step + batch + 1
        if self.is_resumed and done == self.position.steps_per_epoch:
            # Keras leaves the loop over the steps, and then looks again.
            self.model.stop_training = self.is_cut = True

    def on_epoch_end(self, epoch, logs=None):
        if self.is_cut:
            self.model.stop_training = self.is_cut = False


class KeepCheckpoints(keras.callbacks.Callback):
    """Write a checkpoint after each epoch, every few minutes, and before a stop.

    It comes last in the callbacks, so that what it writes is the whole epoch.

    Several workers ask each other after each step, and save and stop together,
    whichever of them got a signal or finds it is time. Accumulated gradients are each
    worker's own: there it waits for their update. Before a validation they share them.

    Args:
        folder: The run folder, None to write nothing.
        position: Where the training goes on.
        best: What knows the best value.
        average: What swaps averaged weights in, if anything.
        signals: What notes the signals.
        minutes: Time between checkpoints within an epoch; 0 is after every step.
        say: Called with a line for the user.
        agreement: What the workers ask each other with.
    """

    def __init__(
        self,
        folder: Path | None,
        position: Position,
        best: BestAndLast,
        average: AveragedWeights | None,
        signals: StopSignals,
        minutes: float,
        say: Callable[[str], None],
        agreement: Agreement,
    ):
        super().__init__()
        self.agreement = agreement
        self.folder = folder
        self.position = position
        self.best = best
        self.average = average
        self.signals = signals
        self.minutes = minutes
        self.say = say
        self.log = position.log
        self.saved_at = time.monotonic()
        # The metrics of the training, while those of the validation are counted.
        self.training_metrics = None

    def on_epoch_begin(self, epoch, logs=None):
        self.offset = self.position.step if epoch == self.position.epoch else 0
        self.now = self._at(epoch, self.offset)

    def on_train_batch_end(self, batch, logs=None):
        self.signals.nothing_to_save = False
        self.now = dataclasses.replace(self.now, step=self.offset + batch + 1)
        is_shared = self.agreement.spread.workers > 1
        if is_shared and variables.has_accumulated(self.model):
            return
        self._leave_if_told()
        is_time = time.monotonic() - self.saved_at >= 60 * self.minutes
        if any(self.agreement.any(is_time)):
            self.save()

    def on_test_begin(self, logs=None):
        variables.share_accumulated(self.model)
        self.training_metrics = variables.gather_metrics(self.model)

    def on_test_batch_end(self, batch, logs=None):
        self._leave_if_told()

    def on_test_end(self, logs=None):
        self.training_metrics = None

    def on_epoch_end(self, epoch, logs=None):
        if self.folder is not None:
            self.log = (self.folder / LOG).read_bytes().decode()
        finished = epoch + 1 == self.params["epochs"] or self.model.stop_training
        self.now = dataclasses.replace(self._at(epoch + 1, 0), finished=finished)
        self.save()
        if not finished:
            self._leave_if_told()

    def save(self) -> None:
        """Write a checkpoint of the last step that was done, or of the last epoch.

        In the middle of a validation it is the one of the epoch's last step.
        """
        if self.average is not None:
            self.average.bring_back()
        arrays = variables.gather(self.model)
        if self.training_metrics is not None:
            arrays[-len(self.training_metrics) :] = self.training_metrics
        if self.folder is not None:
            write_checkpoint(self.folder, arrays, self.now)
        self.saved_at = time.monotonic()

    def _at(self, epoch, step):
        """Return the position of a step."""
        best = self.best.best if self.best.best_epoch is not None else None
        return Position(
            epoch,
            step,
            self.position.steps_per_epoch,
            best=best,
            best_epoch=self.best.best_epoch,
            log=self.log,
        )

    def _leave_if_told(self):
        """Save and leave, where a signal came to any worker."""
        number = self.agreement.stop(self.signals.received)
        if number is None:
            return
        self.signals.received = self.signals.received or number
        self.save()
        self.say(
            f"stopped by a signal after step {self.now.step} of epoch "
            f"{self.now.epoch + 1}; the same command goes on from there"
        )
        if self.agreement.spread.workers > 1:
            self.agreement.any(False)  # the first has written
            time.sleep(_PARTING)
        self.signals.leave()
