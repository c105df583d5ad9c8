"""The training's curves as a picture."""

import csv
import io
from pathlib import Path

import keras
from matplotlib.figure import Figure

from keras_frm.files import write_bytes
from keras_frm.training.run_folder import LOG

# One panel each: title, and the logs in it.
_PANELS = (
    ("loss", ("loss", "cross_entropy", "contrastive", "val_loss")),
    ("mean IoU", ("mean_iou", "val_mean_iou")),
    ("learning rate", ("learning_rate",)),
)


class Curves(keras.callbacks.Callback):
    """Draw `curves.png` from `log.csv` after each epoch.

    Args:
        folder: The run folder.
    """

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = folder

    def on_epoch_end(self, epoch, logs=None):
        draw_curves(self.folder / LOG, self.folder / "curves.png")


def draw_curves(log: Path, picture: Path) -> None:
    """Draw the columns of a training log over the epochs.

    Args:
        log: A csv file with a column "epoch" and one for each log.
        picture: The PNG to write.
    """
    with open(log, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    for axes, (title, names) in zip(
        figure.subplots(1, len(_PANELS)), _PANELS, strict=True
    ):
        for name in names:
            points = [
                (int(r["epoch"]) + 1, float(r[name])) for r in rows if r.get(name)
            ]
            if points:
                axes.plot(*zip(*points, strict=True), label=name, marker=".")
        axes.set(title=title, xlabel="epoch")
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    write_bytes(picture, buffer.getvalue())
