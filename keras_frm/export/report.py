"""What is said about an exported file."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from keras_frm.export.tflite.delegates import GPU_OPERATIONS


class ExportError(ValueError):
    """An exported file that fails a check."""


@dataclass(frozen=True)
class ExportReport:
    """An exported file, checked.

    Args:
        path: The file.
        size: Its size in bytes.
        precision: Name of the precision.
        output_stride: Stride of its output.
        operations: Name of an operation -> how often the file has it.
        partitions: Pieces of the graph that XNNPACK runs; 1 is best.
        outside_xnnpack: Name of an operation -> how many XNNPACK does not run.
        agreement: Share of pixels with the Keras model's class, 0 to 1.
        sure_agreement: The same of the sure pixels, class by class: what the file was
            accepted for, see `keras_frm.export.agreement`.
        images: Number of images the agreement was measured on.
        held_out: Whether these are other images than those calibrated on; None where
            nothing was calibrated.
    """

    path: Path
    size: int
    precision: str
    output_stride: int
    operations: Counter
    partitions: int
    outside_xnnpack: Counter
    agreement: float
    sure_agreement: float
    images: int
    held_out: bool | None

    @property
    def outside_gpu(self) -> Counter:
        """Operations that LiteRT's GPU delegate has no kernel for."""
        counts = self.operations.items()
        return Counter({n: c for n, c in counts if n not in GPU_OPERATIONS})

    def __str__(self):
        lines = [
            f"{self.path}: {self.precision}, {self.size / 1e6:.1f} MB, output at "
            f"stride {self.output_stride}",
            f"operations: {_listed(self.operations)}",
            f"XNNPACK: {self.partitions} partition(s); not delegated: "
            f"{_listed(self.outside_xnnpack)}",
            f"GPU delegate, by its published list, lacks: {_listed(self.outside_gpu)}",
            f"same class as the Keras model: {100 * self.agreement:.3f} % of pixels, "
            f"{100 * self.sure_agreement:.3f} % of the sure ones "
            f"({self._checked_on()})",
        ]
        return "\n".join(lines)

    def _checked_on(self) -> str:
        images = f"{self.images} image{'s' if self.images != 1 else ''}"
        if self.held_out is None:
            return images
        return f"{images}, {'not' if self.held_out else 'also'} calibrated on"


def _listed(counts: Counter) -> str:
    return ", ".join(f"{n} {c}" for n, c in counts.most_common()) or "none"
