"""What is said about an exported .onnx file."""

from dataclasses import dataclass

from keras_frm.export.report import ExportReport


@dataclass(frozen=True)
class OnnxReport(ExportReport):
    """An .onnx file, checked.

    Args:
        opset: Version of its operations.
    """

    opset: int

    @property
    def quantized_tensors(self) -> int:
        """How many tensors between operations become integers."""
        return self.operations["QuantizeLinear"]

    def details(self) -> list[str]:
        lines = [f"opset {self.opset}"]
        if self.quantized_tensors:
            convolutions = self.operations["Conv"]
            lines.append(
                f"QuantizeLinear on {self.quantized_tensors} tensors for "
                f"{convolutions} convolutions, "
                f"{self.quantized_tensors / convolutions:.2f} of each"
            )
        return lines
