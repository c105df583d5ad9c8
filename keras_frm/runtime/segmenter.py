"""Segment images with an exported model: numpy, OpenCV and a TFLite interpreter."""

import os
import threading
import time
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from keras_frm.labels import LabelSet
from keras_frm.runtime import file_metadata
from keras_frm.runtime.backends.litert import load_interpreter, runtime_name
from keras_frm.runtime.backends.tensors import Input, Output, read_input, read_output
from keras_frm.runtime.draw import overlay
from keras_frm.runtime.file_metadata import FileMetadata
from keras_frm.runtime.tflite.check import ModelFileError, check_tflite

_MAX_FILE_BYTES = 2**31 - 1
_MAX_THREADS = 4  # more rarely help on a board, and heat it


class Benchmark(NamedTuple):
    """Time of one image: of the network alone, and of a whole call."""

    median_ms: float
    p90_ms: float
    fps: float
    call_median_ms: float
    call_p90_ms: float
    call_fps: float


class Segmenter:
    """An exported model, ready to segment images.

    Calls from several threads are safe; they run one after another.

    Args:
        path: A .tflite file: of this package, or another segmentation network with a
            fixed input size and batch 1, whose classes then have numbers for names.
        num_threads: Threads of the interpreter; None is all cores, at most four.

    Raises:
        FileNotFoundError: There is no such file.
        ModelFileError: The file is damaged or no segmentation network.
        ImportError: No TFLite interpreter is installed.

    Example:
        >>> segmenter = Segmenter("frm_int8.tflite")  # doctest: +SKIP
        >>> mask = segmenter(image)  # doctest: +SKIP
    """

    def __init__(self, path: str | os.PathLike, *, num_threads: int | None = None):
        self.path = Path(path)
        if num_threads is None:
            num_threads = min(_MAX_THREADS, os.cpu_count() or 1)
        if num_threads < 1:
            raise ValueError(f"num_threads must be 1 or more, not {num_threads}.")
        content = _read_file(self.path)
        try:
            check_tflite(content)
            self.metadata: FileMetadata | None = file_metadata.read(content)
            self._interpreter = load_interpreter(content, num_threads)
            self._input: Input = read_input(self._interpreter, self.metadata)
            self._output: Output = read_output(self._interpreter, self.metadata)
        except (ValueError, RuntimeError) as error:
            line = str(error).strip().partition("\n")[0]
            raise ModelFileError(f"Cannot use model '{self.path}': {line}") from error
        self.runtime = runtime_name()
        self._lock = threading.Lock()

    @property
    def labels(self) -> LabelSet:
        """Names and colours of the classes."""
        return self._output.labels

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...]:
        """RGB colours of the classes, 0 to 255."""
        return self.labels.palette

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width that the network sees, in pixels."""
        return self._input.size

    def __call__(self, image: np.ndarray, *, order: str = "RGB") -> np.ndarray:
        """Segment an image.

        Args:
            image: (H, W, 3) uint8 of any size.
            order: "RGB", or "BGR" as OpenCV reads.

        Returns:
            (H, W) uint8 class ids.

        Raises:
            ValueError: The image has another shape or dtype.
        """
        output = self._run(image, order)
        size = image.shape[1], image.shape[0]
        if self._output.kind == "mask":
            return cv2.resize(output, size, interpolation=cv2.INTER_NEAREST)
        return _resize(output, size).argmax(-1).astype(np.uint8)

    def scores(self, image: np.ndarray, *, order: str = "RGB") -> np.ndarray:
        """Return the probability of each class at each pixel.

        Args:
            image: (H, W, 3) uint8 of any size.
            order: "RGB", or "BGR" as OpenCV reads.

        Returns:
            (H, W, C) float32; they add up to 1.

        Raises:
            ValueError: The image does not fit, or the model's output is a mask.
        """
        if self._output.kind == "mask":
            raise ValueError(
                f"Model '{self.path}' gives a mask only. Export one with "
                "output='logits' or output='scores'."
            )
        output = self._run(image, order)
        if self._output.kind == "logits":
            output = _softmax(output)
        scores = _resize(output, (image.shape[1], image.shape[0]))
        return scores / scores.sum(-1, keepdims=True)

    def overlay(
        self, image: np.ndarray, *, order: str = "RGB", alpha: float = 0.5
    ) -> np.ndarray:
        """Segment an image and lay the colours of the classes over it.

        Args:
            image: (H, W, 3) uint8 of any size.
            order: "RGB", or "BGR" as OpenCV reads.
            alpha: Share of the colour, from 0 to 1.

        Returns:
            (H, W, 3) uint8 RGB.
        """
        mask = self(image, order=order)
        rgb = np.ascontiguousarray(image if order == "RGB" else image[..., ::-1])
        return overlay(rgb, mask, self.palette, alpha)

    def benchmark(self, runs: int = 50) -> Benchmark:
        """Measure the time of the network alone and of a whole call.

        Args:
            runs: Images to measure with, after a few to warm up.

        Returns:
            Medians, 90th percentiles and images per second.
        """
        if runs < 1:
            raise ValueError(f"runs must be 1 or more, not {runs}.")
        random = np.random.default_rng(0)
        image = random.integers(0, 256, (*self.input_size, 3), np.uint8)

        def invoke():
            with self._lock:
                self._interpreter.invoke()

        return Benchmark(*_times(invoke, runs), *_times(lambda: self(image), runs))

    def _run(self, image: np.ndarray, order: str) -> np.ndarray:
        """Return the network's output: (h, w) uint8 or (h, w, C) float32."""
        _check_image(image, order)
        if order == "BGR":
            image = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_BGR2RGB)
        batch = self._input.prepare(image)  # (1, H, W, 3)
        with self._lock:
            self._interpreter.set_tensor(self._input.index, batch)
            try:
                self._interpreter.invoke()
            except (RuntimeError, ValueError) as error:
                line = str(error).strip().partition("\n")[0]
                raise ModelFileError(f"Model '{self.path}' failed: {line}") from error
            output = self._interpreter.get_tensor(self._output.index)  # a copy
        return self._output.decode(output)


def _read_file(path: Path) -> bytes:
    """Return a model file's content."""
    if not path.is_file():
        raise FileNotFoundError(f"There is no model file '{path}'.")
    if path.stat().st_size > _MAX_FILE_BYTES:
        raise ModelFileError(f"Model '{path}' is over 2 GB.")
    return path.read_bytes()


def _check_image(image: np.ndarray, order: str) -> None:
    """Refuse what is no image."""
    if not isinstance(image, np.ndarray):
        raise ValueError(
            f"The image must be an array (H, W, 3) uint8, not {type(image).__name__}; "
            "read files with cv2.imread and pass order='BGR'."
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            f"The image is {image.dtype} of shape {image.shape}; it must be uint8 of "
            "shape (H, W, 3)."
        )
    if image.size == 0:
        raise ValueError(f"The image is empty: its shape is {image.shape}.")
    if max(image.shape[:2]) >= 2**15:
        raise ValueError(f"The image is {image.shape[:2]}; OpenCV resizes up to 32767.")
    if order not in ("RGB", "BGR"):
        raise ValueError(f"order must be 'RGB' or 'BGR', not {order!r}.")


def _resize(scores: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize (h, w, C) bilinearly to (width, height)."""
    if scores.shape[1::-1] == size:
        return scores
    # OpenCV resizes up to four channels at once.
    parts = [
        cv2.resize(scores[..., start : start + 4], size).reshape(*size[::-1], -1)
        for start in range(0, scores.shape[-1], 4)
    ]
    return np.concatenate(parts, axis=-1)  # (H, W, C)


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Turn logits into probabilities along the last axis."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def _times(function, runs: int) -> tuple[float, float, float]:
    """Return median and 90th percentile in ms, and calls per second."""
    for _ in range(min(3, runs)):
        function()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        times.append(1000 * (time.perf_counter() - start))
    median, p90 = np.percentile(times, (50, 90))
    return float(median), float(p90), float(1000 / median)
