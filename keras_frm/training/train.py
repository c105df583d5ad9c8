"""Train a model into a run folder."""

from pathlib import Path

import keras
import tensorflow as tf

from keras_frm.data.labels import LabelSet
from keras_frm.models.segmentation_model import SegmentationModel
from keras_frm.training.checkpoint import Checkpoint
from keras_frm.training.curves import Curves
from keras_frm.training.progress import TrainingProgress
from keras_frm.training.run_folder import LOG
from keras_frm.training.samples import Samples


def train(
    model: SegmentationModel,
    train_data: tf.data.Dataset,
    validation_data: tf.data.Dataset,
    folder: Path,
    labels: LabelSet,
    *,
    epochs: int,
) -> keras.callbacks.History:
    """Fit a compiled model and keep log, curves, samples and weights in a run folder.

    Args:
        model: A compiled model.
        train_data: Batches of (image, label).
        validation_data: Batches of (image, label).
        folder: The run folder, which exists.
        labels: Names and colours.
        epochs: Number of epochs.

    Returns:
        What `fit` returns.
    """
    progress = TrainingProgress()
    # Loss scaling wraps the optimizer that averages.
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    average = keras.callbacks.SwapEMAWeights() if optimizer.use_ema else None
    # Order counts: the log has the learning rate, and the curves read the log.
    callbacks = [
        LearningRateLog(),
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.CSVLogger(folder / LOG),
        keras.callbacks.TensorBoard(folder / "tensorboard", write_graph=False),
        Checkpoint(folder, average=average),
        Curves(folder),
        Samples(
            folder / "samples", validation_data, labels, every=max(1, epochs // 10)
        ),
        progress,
    ]
    if average is not None:
        callbacks.append(average)
    with progress.progress:
        return model.fit(
            train_data,
            validation_data=validation_data,
            epochs=epochs,
            callbacks=callbacks,
            verbose=0,
            shuffle=False,  # the pipeline shuffles
        )


class LearningRateLog(keras.callbacks.Callback):
    """Add the learning rate to the logs of an epoch."""

    def on_epoch_end(self, epoch, logs=None):
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
