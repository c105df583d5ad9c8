"""How well the masks of several models agree, with each other and with labels."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from keras_frm.benchmark.model_files import ModelFile
from keras_frm.labels import LabelSet

# One image (H, W, 3) uint8 with its label (H, W), or without one.
Pair = tuple[np.ndarray, np.ndarray | None]


class MaskScore(NamedTuple):
    """What the masks of one model are worth.

    Args:
        agreement: Share of pixels with the class that the first model gives them.
        iou: IoU of each class, NaN where it is nowhere; empty without labels.
        mask_latency: Median milliseconds from an image to its mask.
    """

    agreement: float
    iou: tuple[float, ...]
    mask_latency: float

    @property
    def mean_iou(self) -> float:
        """Mean IoU of the classes that are there; NaN without labels."""
        return float(np.nanmean(self.iou)) if self.iou else math.nan


def score_masks(
    models: Sequence[ModelFile],
    pairs: Iterable[Pair],
    labels: LabelSet | None = None,
    clock: Callable[[], float] = time.perf_counter,
    progress: Callable[[int], None] = lambda _: None,
) -> tuple[list[MaskScore], int]:
    """Compare masks with those of the first model, and with labels.

    Args:
        models: What segments.
        pairs: Images (H, W, 3) uint8 with labels (H, W), or None for labels.
        labels: Classes of the labels; None for no mean IoU.
        clock: Returns seconds.
        progress: Called with the number of images done.

    Returns:
        A score for each model, and the number of images.

    Raises:
        ValueError: There is no image, or a mask holds ids that are no class.
    """
    equal, pixels, times = np.zeros(len(models), np.int64), 0, []
    confusions = [0] * len(models)
    for image, label in pairs:
        masks, seconds = [], []
        for model in models:
            start = clock()
            masks.append(model.segment(image))  # (H, W)
            seconds.append(clock() - start)
        times.append(seconds)
        equal += [np.count_nonzero(mask == masks[0]) for mask in masks]
        pixels += masks[0].size
        if labels is not None and label is not None:
            for position, mask in enumerate(masks):
                counts = _confusion(models[position], label, mask, labels)
                confusions[position] = confusions[position] + counts
        progress(len(times))
    if not times:
        raise ValueError("There is no image to compare the masks on.")
    latencies = 1e3 * np.median(times, axis=0)
    scores = [
        MaskScore(equal[p] / pixels, _iou(confusions[p]), float(latencies[p]))
        for p in range(len(models))
    ]
    return scores, len(times)


def synthetic_pairs(size: tuple[int, int], count: int) -> Iterator[Pair]:
    """Yield synthetic street scenes without labels.

    Args:
        size: Height and width, pixels; raised to what a scene needs.
        count: Number of scenes.

    Example:
    >>> [image.shape for image, _ in synthetic_pairs((64, 100), count=1)]
    [(64, 128, 3)]
    """
    from keras_frm.scenes import render_scene

    size = max(size[0], 64), max(size[1], 128)
    for index in range(count):
        yield render_scene(index, seed=0, size=size)[0], None


def _confusion(model, label, mask, labels) -> np.ndarray:
    """Count one image's pixels: (C, C)."""
    from keras_frm.metrics import confusion_matrix

    try:
        return confusion_matrix(label, mask, labels.num_classes, labels.ignore_label)
    except ValueError as error:
        raise ValueError(f"{model.path}: {error}") from error


def _iou(confusion) -> tuple[float, ...]:
    """Return each class's IoU of counted pixels, nothing if there are none."""
    if not np.any(confusion):
        return ()
    from keras_frm.metrics import iou_from_confusion

    return tuple(iou_from_confusion(confusion).tolist())
