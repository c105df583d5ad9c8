"""Model files of every kind behind one face: run it, or segment an image."""

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from keras_frm.benchmark.machine import package_version
from keras_frm.errors import ArgumentError
from keras_frm.evaluation.predictors import segment_resized
from keras_frm.labels import known_class_count
from keras_frm.runtime.backends.network import MODEL_ENDINGS, open_network


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
        provider: What runs it where its ending leaves a choice, see `Segmenter`.
    """

    name: str
    path: Path
    runtime: str
    input_size: tuple[int, int]
    num_classes: int | None
    invoke: Callable[[], object]
    segment: Callable[[np.ndarray], np.ndarray]
    provider: str | None = None

    @property
    def file_size(self) -> int:
        """Size of the file in bytes."""
        return self.path.stat().st_size


def open_model(
    path: str | os.PathLike,
    *,
    size: tuple[int, int] | None = None,
    threads: int = 2,
    provider: str | None = None,
) -> ModelFile:
    """Open a model file.

    Args:
        path: A `.tflite`, `.onnx`, `.engine` or `.keras` file, or a run folder.
        size: Height and width of the input, where the file leaves them open.
        threads: Threads of the runtime.
        provider: What runs an `.onnx` file, see `Segmenter`.

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
    if ending not in _ENDINGS:
        raise ValueError(
            f"{path} is of unknown kind; known endings are {', '.join(_ENDINGS)}."
        )
    if ending == ".keras":
        return _keras(path, size, threads)
    return _device(path, size, threads, provider)


def open_models(
    paths: Sequence[str | os.PathLike],
    *,
    size: tuple[int, int] | None = None,
    threads: int = 2,
) -> list[ModelFile]:
    """Open model files that are to be compared.

    An `.onnx` file is opened by ONNX Runtime, and again by OpenVINO where that is
    installed.

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
    ranks = [
        _ENDINGS.index(end) if (end := _ending(p)) in _ENDINGS else -1 for p in paths
    ]
    for place in sorted(range(len(paths)), key=ranks.__getitem__):
        path, options = paths[place], {"size": size, "threads": threads}
        opened[place] = [open_model(path, **options)]
        if _ending(path) == ".onnx" and find_spec("openvino"):
            opened[place].append(open_model(path, **options, provider="openvino"))
        size = size or opened[place][0].input_size
    named = []
    for place, name in enumerate(_distinct_names(paths)):
        named += [dataclasses.replace(opened[place][0], name=name)]
        for other in opened[place][1:]:
            named += [dataclasses.replace(other, name=f"{name} ({other.provider})")]
    return named


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


def _device(path, size, threads, provider) -> ModelFile:
    from keras_frm.runtime.segmenter import Segmenter

    options = {"num_threads": threads, "provider": provider}
    try:
        segmenter = Segmenter(path, **options)
    except ArgumentError:  # it takes any size
        if size is None:
            raise
        segmenter = Segmenter(path, **options, size=size)

    # Only when it is timed: memory is measured without this second network.
    @functools.cache
    def network():
        return open_network(
            path, threads, verify=False, size=segmenter.input_size, provider=provider
        )

    package = segmenter.runtime
    return ModelFile(
        name=path.name,
        path=path,
        runtime=f"{_RUNTIMES.get(package, package)} {package_version(package)}",
        input_size=segmenter.input_size,
        num_classes=known_class_count(segmenter.labels),
        invoke=lambda: network().invoke(),
        segment=segmenter,
        provider=provider,
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


def _chosen_size(path, fixed, wanted) -> tuple[int, int]:
    """Return the input size: the file's if it has one, the wanted one if not."""
    if all(isinstance(side, int) for side in fixed):
        return tuple(fixed)
    if wanted is None:
        raise ArgumentError(
            f"{path} takes images of any size", "size", "pass size=(height, width)"
        )
    return tuple(wanted)


# In the order of `open_models`; run folders are .keras.
_ENDINGS = (*MODEL_ENDINGS, ".keras")
_RUNTIMES = {
    "ai_edge_litert": "LiteRT",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "tensorrt": "TensorRT",
}
