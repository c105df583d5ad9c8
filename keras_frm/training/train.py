"""Train a model into a run folder, from the start or from where it was."""

import contextlib
import dataclasses
import errno
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import tensorflow as tf

from keras_frm.files import data_error, write_bytes
from keras_frm.labels import LabelSet
from keras_frm.models.segmentation_model import SegmentationModel
from keras_frm.optimizers.loss_scaling import without_loss_scaling
from keras_frm.optimizers.poly_decay import unplanned_schedule
from keras_frm.training import variables
from keras_frm.training.agreement import Agreement
from keras_frm.training.average import AveragedWeights
from keras_frm.training.best import BestAndLast
from keras_frm.training.board import Board
from keras_frm.training.checkpoint import newest_checkpoint, newest_name
from keras_frm.training.curves import Curves
from keras_frm.training.distribution import Distribution
from keras_frm.training.early_stop import EarlyStop
from keras_frm.training.extension import Extension, is_finished
from keras_frm.training.position import Position
from keras_frm.training.progress_callback import TrainingProgress
from keras_frm.training.resume import KeepCheckpoints, ResumedEpoch
from keras_frm.training.run_folder import FINAL, LOG
from keras_frm.training.samples import Samples
from keras_frm.training.steps import batch_size_of, check_steps, stream_from
from keras_frm.training.stop import StopOnNonFinite, StopSignals

CHECKPOINT_MINUTES = 10.0


def train(
    model: SegmentationModel,
    train_data: tf.data.Dataset | Callable[[int], tf.data.Dataset],
    validation_data: tf.data.Dataset | Callable[..., tf.data.Dataset],
    folder: Path,
    labels: LabelSet,
    *,
    epochs: int,
    extension: Extension | None = None,
    patience: int | None = None,
    checkpoint_minutes: float = CHECKPOINT_MINUTES,
    spread: Distribution | None = None,
) -> keras.callbacks.History:
    """Fit a compiled model and keep log, curves, samples and weights in a run folder.

    Where the folder holds checkpoints the training goes on from the newest whole one.
    SIGTERM and Ctrl-C save before they end the process, and with it all workers.

    Args:
        model: A compiled model, built as the one that was trained here before.
        train_data: Function from the global step to begin at to an endless stream, as
            `load_dataset(..., first_step=step)` returns it; or a dataset of known
            length that is one epoch in each iteration (a training that goes on reads
            what came before once more).
        validation_data: Batches of (image, label), or a function that returns them:
            with `shard=(index, count)` a worker's part, so that each reads its own only
            (see `Distribution.evaluated`), without it all.
        folder: The run folder, which exists.
        labels: Names and colours.
        epochs: Number of epochs, those before included.
        extension: The epochs that a finished training got besides, which come instead
            of `epochs`; the model is compiled with its learning rate.
        patience: Epochs without a better mean IoU after which it stops; None for all.
        checkpoint_minutes: Time between checkpoints within an epoch.
        spread: The devices, None for one. Of several workers the first writes.

    Returns:
        What `fit` returns; empty where the training was finished before.

    Raises:
        ValueError: No checkpoint is whole, or it is of another training; or too many
            steps in a row were not finite.
        DataError: A file cannot be read any more; the last checkpoint stays.
        WorkerLostError: Another worker is gone.
        OSError: The disk is full.
    """
    spread = spread or Distribution(tf.distribute.get_strategy())
    first_epoch = extension.first_epoch if extension else 0
    epochs = extension.total_epochs if extension else epochs
    checkpoint = newest_checkpoint(folder)
    position = checkpoint.position if checkpoint else Position()
    stream = stream_from(train_data, position.global_step)
    check_steps(checkpoint, stream.steps_per_epoch, model.steps_per_execution)
    position = dataclasses.replace(position, steps_per_epoch=stream.steps_per_epoch)
    variables.build_for_training(model)
    if checkpoint:
        variables.restore(model, checkpoint.variables, str(checkpoint.path))
    if is_finished(position, extension):
        history = keras.callbacks.History()
        history.on_train_begin()
        return history
    if spread.is_chief:
        # What a training ended with is not what one that goes on ends with.
        (folder / FINAL).unlink(missing_ok=True)
        write_bytes(folder / LOG, position.log.encode())

    progress = TrainingProgress(batch_size_of(stream), position)
    is_averaged = without_loss_scaling(model.optimizer).use_ema
    average = AveragedWeights() if is_averaged else None
    written = folder if spread.is_chief else None
    best = BestAndLast(written, average, position)
    with StopSignals() as signals:
        # One of several workers cannot leave at once without ending the others.
        signals.nothing_to_save = spread.workers == 1
        keep = KeepCheckpoints(
            *(written, position, best, average, signals),
            minutes=checkpoint_minutes,
            say=progress.say,
            agreement=Agreement(spread),
        )
        # Order counts: what was counted before comes back first, the log has the
        # learning rate, pictures follow the log, and checkpoints hold all of it.
        callbacks = [
            ResumedEpoch(position, checkpoint.variables if checkpoint else []),
            StopOnNonFinite(position, getattr(stream, "files_of", None)),
            LearningRateLog(),
            *(
                [keras.callbacks.CSVLogger(folder / LOG, append=True)]
                if written
                else []
            ),
            best,
            *(
                [EarlyStop(best, patience, progress.say, first_epoch)]
                if patience
                else []
            ),
            *_pictures(written, validation_data, labels, epochs),
            progress,
            *([average] if average else []),
            keep,
        ]
        planned = _planned(model, stream.steps_per_epoch, first_epoch, epochs)
        with progress.progress, planned, spread.watching():
            if checkpoint:
                progress.say(_going_on(checkpoint))
            try:
                validated = spread.evaluated(validation_data, labels.ignore_label)
                return _fit(model, stream, validated, position, epochs, callbacks)
            except Exception as error:
                _explain(error, folder)
                raise


def _going_on(checkpoint):
    """Say where a training goes on."""
    position = checkpoint.position
    return (
        f"going on from {checkpoint.path}: {position.step} of "
        f"{position.steps_per_epoch} steps of epoch {position.epoch + 1} are done"
    )


def _pictures(folder, validation_data, labels, epochs):
    """Return the callbacks that draw; without a folder, what all take part in."""
    if folder is None:
        return [Board(None, labels, None)]
    every = max(1, epochs // 10)
    samples = Samples(folder / "samples", validation_data, labels, every=every)
    return [Curves(folder), samples, Board(folder / "tensorboard", labels, samples)]


@contextlib.contextmanager
def _planned(model, steps_per_epoch, first_epoch, epochs) -> Iterator[None]:
    """Spread an unplanned learning rate over these epochs while the block runs."""
    schedule = unplanned_schedule(model.optimizer)
    if schedule is None:
        yield
        return
    schedule.plan(
        (epochs - first_epoch) * steps_per_epoch,
        start_step=first_epoch * steps_per_epoch,
    )
    try:
        yield
    finally:
        schedule.plan(0)


def _fit(model, stream, validation_data, position, epochs, callbacks):
    """Fit what is left: a validation, the rest of an epoch, the epochs after it."""
    callbacks = keras.callbacks.CallbackList(
        callbacks,
        add_history=True,
        model=model,
        epochs=epochs,
        steps=stream.steps_per_epoch,
    )
    first = position.epoch
    if position.validation_is_missing:
        _validate(model, validation_data, first, callbacks)
        first = epochs if model.stop_training else first + 1
    return model.fit(
        stream,
        validation_data=validation_data,
        initial_epoch=first,
        epochs=epochs,
        steps_per_epoch=stream.steps_per_epoch,
        callbacks=callbacks,
        verbose=0,
        shuffle=False,  # the pipeline shuffles
    )


def _validate(model, validation_data, epoch, callbacks):
    """End an epoch whose steps are done, as `fit` would have."""
    model.stop_training = False
    callbacks.on_train_begin()
    callbacks.on_epoch_begin(epoch)
    logs = dict(model.get_metrics_result())
    results = model.evaluate(validation_data, callbacks=callbacks, return_dict=True)
    logs |= {f"val_{name}": value for name, value in results.items()}
    callbacks.on_epoch_end(epoch, logs)
    callbacks.on_train_end(logs)


def _explain(error, folder):
    """Raise one clear line for what a training can do nothing about.

    It saves nothing: TensorFlow runs what needs no images, such as random numbers,
    even in a step whose images cannot be read.
    """
    found = data_error(error)
    if found is not None:
        raise found from error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        whole = newest_name(folder)
        rest = f"{whole} is whole" if whole else "there is no checkpoint yet"
        raise OSError(
            f"The disk of {folder} is full ({error.strerror}); {rest}. Make room, "
            "then the same command goes on."
        ) from error


class LearningRateLog(keras.callbacks.Callback):
    """Add the learning rate to the logs of an epoch."""

    def on_epoch_end(self, epoch, logs=None):
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
