"""Segment images with an exported model: numpy, OpenCV and a runtime of model files."""

import os
import threading
import time
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from keras_frm.images import resize_image, resize_mask, resize_scores
from keras_frm.labels import LabelSet
from keras_frm.runtime.backends.network import one_line, open_network
from keras_frm.runtime.draw import overlay
from keras_frm.runtime.errors import ModelFileError
from keras_frm.runtime.file_metadata import FileMetadata
from keras_frm.weights.shipped import default_weights, find_shipped

_MAX_THREADS = 4  # more rarely help on a board, and heat it
_BELOW_ONE = np.float32(1 - 2**-22)  # stays below its like after a division


class Latency(NamedTuple):
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

    The file may come from anywhere: it is checked, and loaded and run once in a
    short-lived process of its own before this process loads it. That takes as long as
    starting Python, loading the file three times and two images; a file that passed is
    not tried again (see `keras_frm.runtime.trial`).

    Args:
        path: A .tflite or .onnx file: of this package, or another segmentation network
            for one image, whose classes then have numbers for names. Or an .engine file
            of `build_engine`, which is a program: open your own only.
            Or the name of weights that come with the package (`keras-frm weights`
            lists them), whose int8 file is taken; None for the default ones.
        num_threads: Threads of the runtime; None is all cores, at most four.
        verify: False leaves out the process of its own, for files that are trusted;
            a damaged file can then crash this process or never return.
        size: Height and width that the network sees, pixels, for an .onnx file that
            leaves them open.
        provider: What runs an .onnx file: ONNX Runtime on the processor ("cpu", the
            default), by CUDA ("cuda") or by TensorRT ("tensorrt"); or OpenVINO
            ("openvino").

    Raises:
        FileNotFoundError: There is no such file.
        DamagedWeightsError: A file of the package is not what was shipped.
        ModelFileError: The file is damaged or no segmentation network.
        ImportError: The runtime or the provider is not installed.
        ValueError: An argument is wrong.

    Example:
        >>> segmenter = Segmenter("frm_int8.tflite")  # doctest: +SKIP
        >>> mask = segmenter(image)  # doctest: +SKIP
    """

    def __init__(
        self,
        path: str | os.PathLike | None = None,
        *,
        num_threads: int | None = None,
        verify: bool = True,
        size: tuple[int, int] | None = None,
        provider: str | None = None,
    ):
        shipped = default_weights() if path is None else find_shipped(path)
        if shipped is not None:
            path, verify = shipped.device_file(), False  # its digest is the right one
            shipped.note_licence()
        elif path is None:
            raise FileNotFoundError(
                "No weights come with this version of keras_frm: give the path of a "
                "model file."
            )
        self.path = Path(path)
        if num_threads is None:
            num_threads = min(_MAX_THREADS, os.cpu_count() or 1)
        if num_threads < 1:
            raise ValueError(f"num_threads must be 1 or more, not {num_threads}.")
        self._network = open_network(
            self.path, num_threads, verify=verify, size=size, provider=provider
        )
        self._lock = threading.Lock()

    @property
    def metadata(self) -> FileMetadata | None:
        """What the file says about itself; None for foreign files."""
        return self._network.metadata

    @property
    def labels(self) -> LabelSet:
        """Names and colours of the classes."""
        return self._network.labels

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...]:
        """RGB colours of the classes, 0 to 255."""
        return self.labels.palette

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width that the network sees, in pixels."""
        return self._network.input_size

    @property
    def runtime(self) -> str:
        """The package that runs the network, such as "ai_edge_litert"."""
        return self._network.runtime

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
        size = image.shape[:2]
        if self._network.output == "mask":
            return resize_mask(output, size)
        output = resize_scores(output, size)  # (H, W, C)
        if self._network.output == "scores":
            output = _normalised(output)
        return output.argmax(-1).astype(np.uint8)

    def scores(self, image: np.ndarray, *, order: str = "RGB") -> np.ndarray:
        """Return the probability of each class at each pixel.

        Their argmax is the mask: logits are resized to the image before the softmax.

        Args:
            image: (H, W, 3) uint8 of any size.
            order: "RGB", or "BGR" as OpenCV reads.

        Returns:
            (H, W, C) float32; they add up to 1.

        Raises:
            ValueError: The image does not fit, or the model's output is a mask.
        """
        if self._network.output == "mask":
            raise ValueError(
                f"Model '{self.path}' gives a mask only. Export one with "
                "output='logits' or output='scores'."
            )
        output = resize_scores(self._run(image, order), image.shape[:2])
        return (_softmax if self._network.output == "logits" else _normalised)(output)

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

    def benchmark(self, runs: int = 50) -> Latency:
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
                self._network.invoke()

        return Latency(*_times(invoke, runs), *_times(lambda: self(image), runs))

    def _run(self, image: np.ndarray, order: str) -> np.ndarray:
        """Return the network's output: (h, w) uint8 or (h, w, C) float32."""
        _check_image(image, order)
        if order == "BGR":
            image = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_BGR2RGB)
        image = resize_image(image, self.input_size)
        with self._lock:
            try:
                return self._network.run(image)
            except (RuntimeError, ValueError) as error:
                raise ModelFileError(
                    f"Model '{self.path}' failed: {one_line(error)}"
                ) from error


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


def _softmax(logits: np.ndarray) -> np.ndarray:
    """Turn logits into probabilities along the last axis, whose argmax is theirs."""
    highest = logits.max(-1, keepdims=True)
    powers = np.exp(logits - highest)
    # What is a little below the highest logit must not round to a tie with it.
    np.minimum(powers, _BELOW_ONE, out=powers, where=logits < highest)
    return powers / powers.sum(-1, keepdims=True)


def _normalised(scores: np.ndarray) -> np.ndarray:
    """Let scores add up to one along the last axis; zeros stay zeros."""
    total = scores.sum(-1, keepdims=True)
    return scores / np.maximum(total, np.finfo(np.float32).tiny)


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
