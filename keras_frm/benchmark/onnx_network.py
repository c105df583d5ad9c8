"""A segmentation network in an .onnx file, run by ONNX Runtime."""

from pathlib import Path

import numpy as np


class OnnxNetwork:
    """A network that takes images and gives scores or a mask.

    ONNX Runtime is no dependency of this package; it must be installed for this.

    Args:
        path: An `.onnx` file with one input, images in [0, 255] of shape
            (B, H, W, 3) or (B, 3, H, W), float32 or uint8. Scores have their
            channels where the images have theirs.
        threads: Threads of the runtime.

    Raises:
        ImportError: ONNX Runtime is not installed.
        ValueError: The file is damaged or takes something else.
    """

    def __init__(self, path: Path, threads: int):
        self._session = _session(path, threads)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        shape = inputs[0].shape if len(inputs) == 1 else []
        if len(shape) != 4 or 3 not in (shape[1], shape[3]):
            raise ValueError(
                f"{path} must have one input, images (B, H, W, 3) or (B, 3, H, W)."
            )
        self._input, self._output = inputs[0], outputs[0]
        self._channels_first = shape[1] == 3
        # Sides that the file leaves open are names or None.
        self.size = tuple(shape[2:] if self._channels_first else shape[1:3])

    @property
    def num_classes(self) -> int | None:
        """Number of classes; None where the file does not tell."""
        shape = self._output.shape
        channels = shape[1 if self._channels_first else 3] if len(shape) == 4 else None
        return channels if isinstance(channels, int) else None

    def prepare(self, images: np.ndarray) -> np.ndarray:
        """Bring images (B, H, W, 3) uint8 into the layout and dtype of the input."""
        if self._channels_first:
            images = images.transpose(0, 3, 1, 2)  # (B, 3, H, W)
        dtype = np.uint8 if "uint8" in self._input.type else np.float32
        return np.ascontiguousarray(images, dtype)

    def run(self, prepared: np.ndarray) -> np.ndarray:
        """Return the output for a prepared input, as the file lays it out."""
        return self._session.run([self._output.name], {self._input.name: prepared})[0]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return scores (1, h, w, C), or a mask (1, h, w), of images (1, H, W, 3)."""
        result = self.run(self.prepare(images))
        if result.ndim == 4 and self._channels_first:
            return result.transpose(0, 2, 3, 1)  # (1, h, w, C)
        return result


def _session(path, threads):
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            f"{path} needs ONNX Runtime. Run: pip install onnxruntime"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    # Its exceptions have no common base but Exception.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} cannot be loaded as a model: {reason}") from error
