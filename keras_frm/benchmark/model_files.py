"""Model files of every kind behind one face: run it, or segment an image."""

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_frm.benchmark.machine import package_version
from keras_frm.benchmark.onnx_network import OnnxNetwork
from keras_frm.errors import ArgumentError
from keras_frm.evaluation.predictors import segment_resized
from keras_frm.labels import known_class_count


@dataclass(frozen=True)
class ModelFile:
    """A model file that is open.

    Args:
        name: Short name, told apart from the others' that were opened with it.
        path: The file.
        runtime: What runs it, with its version.
        input_size: Height and width of its input, pixels.
        num_classes: Number of classes; None where the file does not tell.
        invoke: Runs it once on an input that is in place already.
        segment: From an image (H, W, 3) uint8 RGB to the mask (H, W) uint8.
    """

    name: str
    path: Path
    runtime: str
    input_size: tuple[int, int]
    num_classes: int | None
    invoke: Callable[[], object]
    segment: Callable[[np.ndarray], np.ndarray]

    @property
    def file_size(self) -> int:
        """Size of the file in bytes."""
        return self.path.stat().st_size


def open_model(
    path: str | os.PathLike, *, size: tuple[int, int] | None = None, threads: int = 2
) -> ModelFile:
    """Open a model file.

    Args:
        path: A `.tflite`, `.keras` or `.onnx` file, or a run folder.
        size: Height and width of the input, where the file leaves them open.
        threads: Threads of the runtime.

    Returns:
        The open model.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: The file's runtime is not installed.
        ValueError: The file is damaged, of unknown kind, or needs a `size`.

    Example:
    >>> open_model("model.bin")
    Traceback (most recent call last):
    FileNotFoundError: There is no model at model.bin.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no model at {path}.")
    ending = _ending(path)
    if ending not in _OPENERS:
        raise ValueError(
            f"{path} is of unknown kind; known endings are {', '.join(_OPENERS)}."
        )
    return _OPENERS[ending](path, size, threads)


def open_models(
    paths: Sequence[str | os.PathLike],
    *,
    size: tuple[int, int] | None = None,
    threads: int = 2,
) -> list[ModelFile]:
    """Open model files that are to be compared.

    Args:
        paths: The files.
        size: Height and width for files that leave them open; None takes that of
            the first `.tflite` file, or else `.onnx` or `.keras` file.
        threads: Threads of each runtime.

    Returns:
        The models in the order of `paths`, with names that differ.

    Raises:
        FileNotFoundError: See `open_model`.
        ImportError: See `open_model`.
        ValueError: See `open_model`; or there is no path.
    """
    paths = [Path(path) for path in paths]
    if not paths:
        raise ValueError("Name at least one model file.")
    opened = {}
    # Kinds of files that have a fixed size come first: they decide for the others.
    order = {ending: rank for rank, ending in enumerate(_OPENERS)}
    ranks = [order.get(_ending(path), -1) for path in paths]
    for place in sorted(range(len(paths)), key=ranks.__getitem__):
        opened[place] = open_model(paths[place], size=size, threads=threads)
        size = size or opened[place].input_size
    names = _distinct_names(paths)
    return [
        ModelFile(**{**vars(opened[place]), "name": names[place]})
        for place in range(len(paths))
    ]


def _ending(path) -> str:
    """Return what says the kind of a model; a run folder holds a `.keras` file."""
    return ".keras" if path.is_dir() else path.suffix.lower()


def _distinct_names(paths) -> list[str]:
    """Return file names, with folders or a number where they are alike."""
    names = [path.name or str(path) for path in paths]
    if len(set(names)) < len(names):
        names = ["/".join(path.parts[-2:]) for path in paths]
    if len(set(names)) < len(names):
        names = [f"{number} {name}" for number, name in enumerate(names, start=1)]
    return names


def _tflite(path, size, threads) -> ModelFile:
    from keras_frm.runtime.backends.litert import open_tflite
    from keras_frm.runtime.segmenter import Segmenter

    segmenter = Segmenter(path, num_threads=threads)

    # Only when it is timed: memory is measured without this second interpreter.
    @functools.cache
    def interpreter():
        return open_tflite(path.read_bytes(), threads)

    return ModelFile(
        name=path.name,
        path=path,
        runtime=f"{segmenter.runtime} {package_version(segmenter.runtime)}",
        input_size=segmenter.input_size,
        num_classes=known_class_count(segmenter.labels),
        invoke=lambda: interpreter().invoke(),
        segment=segmenter,
    )


def _keras(path, size, threads) -> ModelFile:
    import tensorflow as tf

    from keras_frm.benchmark.tensorflow_threads import limit_threads
    from keras_frm.models.saving import load_network
    from keras_frm.training.run_folder import trained_file

    file = trained_file(path)
    used = limit_threads(threads)
    network = load_network(file)
    size = _chosen_size(file, network.input_shape[1:3], size)

    @tf.function(autograph=False)
    def logits(images):
        return network(tf.cast(images, tf.float32), training=False)  # (1, H, W, C)

    prepared = tf.zeros((1, *size, 3), tf.uint8)

    def segment(image):
        return segment_resized(image, lambda x: logits(tf.constant(x)).numpy(), size)

    return ModelFile(
        name=path.name,
        path=file,
        runtime=f"TensorFlow {tf.__version__}, {used}",
        input_size=size,
        num_classes=network.output.shape[-1],
        invoke=lambda: logits(prepared).numpy(),  # waits until it is done
        segment=segment,
    )


def _onnx(path, size, threads) -> ModelFile:
    network = OnnxNetwork(path, threads)
    size = _chosen_size(path, network.size, size)
    prepared = network.prepare(np.zeros((1, *size, 3), np.uint8))
    return ModelFile(
        name=path.name,
        path=path,
        runtime=f"ONNX Runtime {package_version('onnxruntime')}",
        input_size=size,
        num_classes=network.num_classes,
        invoke=lambda: network.run(prepared),
        segment=lambda image: segment_resized(image, network, size),
    )


def _chosen_size(path, fixed, wanted) -> tuple[int, int]:
    """Return the input size: the file's if it has one, the wanted one if not."""
    if all(isinstance(side, int) for side in fixed):
        return tuple(fixed)
    if wanted is None:
        raise ArgumentError(
            f"{path} takes images of any size", "size", "pass size=(height, width)"
        )
    return tuple(wanted)


# Ending -> what opens it; the order is that of `open_models`. Run folders are .keras.
_OPENERS = {".tflite": _tflite, ".onnx": _onnx, ".keras": _keras}
