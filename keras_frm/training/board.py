"""What TensorBoard shows: scalars, pictures and the IoU of each class."""

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from keras_frm.images import resize_image
from keras_frm.labels import LabelSet
from keras_frm.metrics import MeanIoU
from keras_frm.training.samples import Samples

_WIDEST_PICTURE = 1536


class Board(keras.callbacks.Callback):
    """Write logs, samples and per-class IoU of the validation for TensorBoard.

    Training and validation are two runs with the same names, so that their curves lie
    in one diagram. A resumed training goes on in the same folder. Of several workers
    all have this callback, for they count the validation together.

    Args:
        folder: Folder that TensorBoard is to show, None to write nothing.
        labels: Names of the classes.
        samples: What draws input, label and prediction; it comes before this in the
            callbacks. None where nothing is written.
    """

    def __init__(self, folder: Path | None, labels: LabelSet, samples: Samples | None):
        super().__init__()
        self.folder = folder
        self.labels = labels
        self.samples = samples
        self.iou = None
        self.writers = {}

    def on_train_begin(self, logs=None):
        if self.folder is None:
            return
        self.writers = {
            name: tf.summary.create_file_writer(str(self.folder / name))
            for name in ("train", "validation")
        }

    def on_test_end(self, logs=None):
        metric = _mean_iou(self.model)
        # NaN stands for labels that are no class.
        known = metric is not None and np.isfinite(float(metric.result()))
        self.iou = metric.iou() if known else None

    def on_epoch_end(self, epoch, logs=None):
        if self.folder is None:
            return
        for name, value in (logs or {}).items():
            run = "validation" if name.startswith("val_") else "train"
            with self.writers[run].as_default():
                tf.summary.scalar(name.removeprefix("val_"), value, epoch)
        with self.writers["validation"].as_default():
            self._write_iou(epoch)
            self._write_pictures(epoch)
        for writer in self.writers.values():
            writer.flush()

    def on_train_end(self, logs=None):
        for writer in self.writers.values():
            writer.close()

    def _write_iou(self, epoch):
        """Write the IoU of the classes that were there."""
        if self.iou is None:
            return
        for name, value in zip(self.labels.classes, self.iou, strict=True):
            if np.isfinite(value):
                tf.summary.scalar(f"iou/{name}", value, epoch)

    def _write_pictures(self, epoch):
        """Write input, label and prediction side by side, where they were drawn."""
        for i, picture in enumerate(self.samples.drawn.get(epoch, ())):
            factor = min(1.0, _WIDEST_PICTURE / picture.shape[1])
            small = resize_image(
                picture, [round(factor * s) for s in picture.shape[:2]]
            )
            tf.summary.image(f"image, label, prediction/{i}", small[None], epoch)


def _mean_iou(model):
    """Return the model's metric of that kind, None without one."""
    metrics = [m for metric in model.metrics for m in getattr(metric, "metrics", ())]
    return next((m for m in metrics if isinstance(m, MeanIoU)), None)
