"""Compare model files: latency, memory, size, and how well their masks agree."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from keras_frm.benchmark.machine import machine_name
from keras_frm.benchmark.mask_scores import Pair, score_masks, synthetic_pairs
from keras_frm.benchmark.model_files import open_models
from keras_frm.benchmark.peak_memory import peak_memory
from keras_frm.benchmark.timing import interleaved_times
from keras_frm.labels import LabelSet

_SCENES = 8  # where no images are given


class ComparisonRow(NamedTuple):
    """What was measured of one file.

    Args:
        name: Name of the file, told apart from the others'.
        runtime: What ran it.
        input_size: Height and width of its input, pixels.
        latency: Median milliseconds of one run on a prepared input.
        slow_latency: 90th percentile of the same.
        throughput: Images a second, one after the other.
        ratio: Its time divided by the first file's: median over the rounds.
        mask_latency: Median milliseconds from an image to its mask, resizing included.
        memory: Peak resident bytes of a process that runs it; NaN if unknown.
        file_size: Bytes.
        agreement: Share of pixels with the class that the first file gives them.
        mean_iou: Mean IoU on the labels; NaN without labels.
        iou: IoU of each class; empty without labels.
        path: The file; None where the row stands for none.
    """

    name: str
    runtime: str
    input_size: tuple[int, int]
    latency: float
    slow_latency: float
    throughput: float
    ratio: float
    mask_latency: float
    memory: float
    file_size: int
    agreement: float
    mean_iou: float
    iou: tuple[float, ...] = ()
    path: Path | None = None


@dataclass(frozen=True)
class Comparison:
    """A comparison of model files.

    Args:
        rows: One for each file, in the order they were given.
        machine: What it was measured on.
        threads: Threads of the runtimes.
        runs: Timed rounds.
        images: Number of images the masks were compared on.
        source: What images these are.
    """

    rows: tuple[ComparisonRow, ...]
    machine: str
    threads: int
    runs: int
    images: int
    source: str


def compare_models(
    paths: Sequence[str | Path],
    pairs: Iterable[Pair] | None = None,
    *,
    labels: LabelSet | None = None,
    images: int | None = None,
    source: str | None = None,
    threads: int = 2,
    runs: int = 30,
    size: tuple[int, int] | None = None,
    clock: Callable[[], float] = time.perf_counter,
    progress: Callable[[str, int, int | None], None] = lambda *_: None,
) -> Comparison:
    """Measure model files side by side.

    All files run in turn in one process, so that the ratios hold on a noisy machine;
    their memory is measured apart, each in a process of its own.

    Args:
        paths: `.tflite`, `.onnx`, `.engine` and `.keras` files, and run folders. The
            first is what the others are compared with. An `.onnx` file is run by ONNX
            Runtime, and by OpenVINO too where that is installed.
        pairs: Images (H, W, 3) uint8 with labels (H, W) of train ids or None; eight
            synthetic scenes if None.
        labels: Classes of the labels, for the mean IoU.
        images: Number of pairs, for `progress`.
        source: What the images are, for the report.
        threads: Threads of each runtime.
        runs: Timed rounds.
        size: Height and width of the input of files that do not fix it; None takes
            that of the first file that does.
        clock: Returns seconds.
        progress: Called with what is going on, what is done and the total.

    Returns:
        The comparison.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: A file's runtime is not installed.
        ValueError: A file is damaged, of unknown kind, has other classes than
            `labels`, or an option does not fit.
    """
    models = open_models(paths, size=size, threads=threads)
    if labels is not None:
        for model in models:
            _check_classes(model, labels)
    if pairs is None:
        images, source = _SCENES, "synthetic scenes"
        pairs = synthetic_pairs(models[0].input_size, images)
    memory = []
    progress("memory", 0, len(models))
    for done, model in enumerate(models):
        memory.append(
            peak_memory(model.path, model.input_size, threads, model.provider)
        )
        progress("memory", done + 1, len(models))
    rounds = iter(range(-1, runs + 1))  # the first two warm up
    times = interleaved_times(
        [model.invoke for model in models],
        runs,
        clock=clock,
        on_round=lambda: progress("latency", max(0, next(rounds)), runs),
    )
    scores, compared = score_masks(
        models, pairs, labels, clock, lambda done: progress("masks", done, images)
    )
    rows = [
        _row(model, times[:, [0, position]], memory[position], scores[position])
        for position, model in enumerate(models)
    ]
    return Comparison(
        tuple(rows), machine_name(), threads, runs, compared, source or "given images"
    )


def _row(model, times, memory, score) -> ComparisonRow:
    """Return the row of a model from its times beside the first one's."""
    first, own = times[:, 0], times[:, 1]
    return ComparisonRow(
        name=model.name,
        runtime=model.runtime,
        input_size=model.input_size,
        latency=float(np.median(own)),
        slow_latency=float(np.percentile(own, 90)),
        throughput=float(1e3 * len(own) / own.sum()),
        ratio=float(np.median(own / first)),
        mask_latency=score.mask_latency,
        memory=memory,
        file_size=model.file_size,
        agreement=score.agreement,
        mean_iou=score.mean_iou,
        iou=score.iou,
        path=model.path,
    )


def _check_classes(model, labels) -> None:
    """Raise if a model is known to have other classes than the labels."""
    if model.num_classes not in (None, labels.num_classes):
        raise ValueError(
            f"{model.path} has {model.num_classes} classes and the label set "
            f"'{labels.name}' has {labels.num_classes}; name the preset it was trained "
            "on."
        )
