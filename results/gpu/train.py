"""Train VAN-small + FRM from random weights: Cityscapes at 256x256, then CamVid."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keras

import keras_frm
from keras_frm.presets import Preset, preset
from results.gpu import archive, half_weights
from results.gpu.cases import BACKBONE, TINY
from results.gpu.tiny import network_options

_VALIDATIONS = 10
_LARGEST_BATCH = 128  # of a validation
_RESERVE = 0.97  # of the time: steps are not all alike


@dataclass(frozen=True)
class Settings:
    """How both networks are trained.

    Args:
        cityscapes: Preset of the first training.
        camvid: Preset of the second one.
        share: Part of the time that the first one gets.
        dtype: Dtype policy.
        backbone: See `Case`.
        measured_steps: Steps of a first, short training, which is timed.
    """

    cityscapes: Preset
    camvid: Preset
    share: float = 0.7
    dtype: str = "mixed_bfloat16"
    backbone: str = BACKBONE
    measured_steps: int = 20


def _changed(name: str, **changes) -> Preset:
    """Return a preset for little data: AdamW, cross-entropy of equal classes."""
    return preset(name).with_changes(
        network="frm", class_weights=None, weight_decay=1e-2, **changes
    )


WHOLE = Settings(
    _changed("cityscapes_small", crop=(256, 256), batch_size=32, learning_rate=1e-3),
    _changed("camvid_small", crop=(352, 480), batch_size=16, learning_rate=5e-4),
)
SMALLEST = Settings(
    _changed("cityscapes_small", crop=(32, 32), batch_size=2),
    _changed("camvid_small", crop=(32, 32), batch_size=2),
    dtype="float32",
    backbone=TINY,
    measured_steps=1,
)


def train(archives: Path, out: Path, minutes: float, settings: Settings) -> None:
    """Leave cityscapes256_0.npz and so on, camvid_0.npz and so on, and log.csv.

    Args:
        archives: Folder of the files of `archive`.
        out: Folder to write to.
        minutes: What all takes, from now on, but for the writing.
        settings: How to train.
    """
    start = time.monotonic()
    (out / "log.csv").unlink(missing_ok=True)
    ends = start + 60 * minutes * settings.share, start + 60 * minutes
    weights = None
    for name, chosen, end in zip(
        ("cityscapes256", "camvid"),
        (settings.cityscapes, settings.camvid),
        ends,
        strict=True,
    ):
        train_set, val_set = datasets(archives / f"{name}.npz", chosen)
        model = keras_frm.build_model(
            chosen,
            weights=weights,
            dtype=settings.dtype,
            **network_options(settings.backbone),
        )
        log = Log(out / "log.csv", name, start)
        fit(model, train_set, val_set, end, settings.measured_steps, log)
        weights = out / "start.weights.h5"  # of the next training
        model.network.save_weights(weights)
        half_weights.write(model.network, out, name)
    weights.unlink()


def datasets(path: Path, chosen: Preset) -> list:
    """Return the batches to train on and those to validate on."""
    train_set, (images, labels) = (archive.read(path, s) for s in archive.SPLITS)
    # All of one size: JAX compiles the step again for each other one.
    whole = max(n for n in range(1, _LARGEST_BATCH + 1) if len(images) % n == 0)
    return [
        keras_frm.dataset_from_arrays(chosen, *train_set),
        keras_frm.dataset_from_arrays(
            chosen, images, labels, augment=False, batch_size=whole
        ),
    ]


def fit(model, train_set, val_set, end: float, measured_steps: int, log) -> None:
    """Train until a time, with a learning rate that falls to 0 by then."""
    model.compile()

    def some_steps():
        model.fit(train_set, steps_per_epoch=measured_steps, verbose=0)

    def validate():
        return model.evaluate(val_set, verbose=0, return_dict=True)

    for part in (some_steps, validate):
        part()  # compiles
    validation = seconds_of(validate)
    epoch = seconds_of(some_steps) / measured_steps * len(train_set)
    left = end - time.monotonic() - (_VALIDATIONS + 1) * validation
    epochs = max(1, int(_RESERVE * left / epoch))
    model.fit(
        train_set,
        epochs=epochs,
        validation_data=val_set,
        validation_freq=max(1, epochs // _VALIDATIONS),
        callbacks=[log, StopAt(end - validation)],
        verbose=0,
    )
    log.write(validate(), "end")


def seconds_of(part: Callable[[], object]) -> float:
    """Return how long a part takes."""
    begin = time.monotonic()
    part()
    return time.monotonic() - begin


class StopAt(keras.callbacks.Callback):
    """End a training at a time of `time.monotonic`."""

    def __init__(self, end: float):
        super().__init__()
        self.end = end

    def on_train_batch_end(self, batch, logs=None):
        self.model.stop_training = time.monotonic() > self.end


class Log(keras.callbacks.Callback):
    """Print a line for each epoch and write it to a file that goes on.

    Args:
        path: The file.
        name: Name of the training.
        start: Time of `time.monotonic` that seconds count from.
    """

    _COLUMNS = ("loss", "mean_iou", "val_loss", "val_mean_iou", "skipped_steps")

    def __init__(self, path: Path, name: str, start: float):
        super().__init__()
        self.path, self.name, self.start = path, name, start

    def on_epoch_end(self, epoch, logs=None):
        self.write(logs, epoch)

    def write(self, logs: dict, epoch: int | str) -> None:
        """Write a line."""
        seconds = f"{time.monotonic() - self.start:.1f}"
        values = [f"{logs[k]:.4f}" if k in logs else "" for k in self._COLUMNS]
        line = ",".join([self.name, str(epoch), seconds, *values])
        is_new = not self.path.exists()
        with self.path.open("a") as file:
            if is_new:
                print(
                    "training", "epoch", "seconds", *self._COLUMNS, sep=",", file=file
                )
            print(line, file=file)
        print(line, flush=True)
