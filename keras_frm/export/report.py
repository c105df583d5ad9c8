"""What is said about an exported file."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


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
    agreement: float
    sure_agreement: float
    images: int
    held_out: bool | None

    def details(self) -> list[str]:
        """Return what is to be said about a file of this format alone, by lines."""
        return []

    def __str__(self):
        lines = [
            f"{self.path}: {self.precision}, {self.size / 1e6:.1f} MB, output at "
            f"stride {self.output_stride}",
            f"operations: {listed(self.operations)}",
            *self.details(),
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


def listed(counts: Mapping[str, int]) -> str:
    """Return names and numbers in one line, the most frequent first.

    Example:
    >>> listed({"ADD": 1, "CONV_2D": 3}), listed({})
    ('CONV_2D 3, ADD 1', 'none')
    """
    return ", ".join(f"{n} {c}" for n, c in Counter(counts).most_common()) or "none"
