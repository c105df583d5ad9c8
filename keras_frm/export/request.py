"""What is asked of an export, and what cannot be had."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from keras_frm.export.head import check_output
from keras_frm.quantization.freeze import scheme_of
from keras_frm.targets import Target, target_of_scheme

# A file that computes what its training graph computed differs by round-off only, or by
# the rounding of a runtime without XNNPACK.
_TRAINED_AGREEMENT = 0.99


@dataclass(frozen=True)
class ExportRequest:
    """An export whose arguments go together.

    Args:
        path: The file.
        target: Its format and precision.
        trained: Whether the model was trained with the target's arithmetic.
        size: Height and width of its images, pixels.
        output: "mask", "logits" or "scores".
        output_stride: Stride of the output.
        keep_float: Names of operations to leave in float; `*` stands for anything.
        min_agreement: Smallest agreement to accept.
    """

    path: Path
    target: Target
    trained: bool
    size: tuple[int, int]
    output: str
    output_stride: int
    keep_float: Sequence[str]
    min_agreement: float

    @property
    def calibrated(self) -> bool:
        """Whether ranges are to be measured."""
        return self.target.calibrated and not self.trained


def checked_request(
    model: keras.Model,
    path: str | Path,
    target: Target,
    *,
    input_shape: Sequence[int],
    output: str,
    output_stride: int,
    keep_float: Sequence[str],
    min_agreement: float | None,
    representative_data: Iterable | None,
) -> ExportRequest:
    """Return the request that the arguments of an export make.

    Raises:
        ValueError: Arguments contradict each other, the model or the target.
    """
    path, scheme = Path(path), scheme_of(model)
    trained = scheme is not None
    ending, precision = f".{target.format}", target.precision
    if path.suffix != ending:
        raise ValueError(f"The file's name must end in {ending}, not '{path.name}'.")
    check_output(output)
    if trained and target.scheme is None:
        raise ValueError(
            f"The model was trained for int8, so precision='{precision}' cannot be had "
            "of it; export the float model."
        )
    if trained and target.scheme != scheme:
        made_for = target_of_scheme(scheme).format
        raise ValueError(
            f"The model was trained with scheme='{scheme}', for .{made_for} files; an "
            f"{ending} file needs scheme='{target.scheme}'."
        )
    if target.scheme and not (target.calibrated or trained):
        raise ValueError(
            f"precision='{precision}' of an {ending} file takes a model of "
            f"quantize_aware(..., scheme='{target.scheme}'), trained or not."
        )
    if target.calibrated and not trained and representative_data is None:
        raise ValueError(
            f"precision='{precision}' needs representative_data: images to measure the "
            "ranges of the tensors on."
        )
    if keep_float and trained:
        raise ValueError(
            "The model's own training decided what stays float; give keep_float to "
            "quantize_aware."
        )
    if keep_float and not (target.calibrated and target.keeps_float):
        everything = "leaves nothing" if target.calibrated else "computes everything"
        raise ValueError(
            f"precision='{precision}' {everything} in float, so it takes no "
            "keep_float. Use precision='int8'."
        )
    if min_agreement is None:
        min_agreement = _TRAINED_AGREEMENT if trained else target.min_agreement
    return ExportRequest(
        path=path,
        target=target,
        trained=trained,
        size=tuple(input_shape[:2]),
        output=output,
        output_stride=output_stride,
        keep_float=keep_float,
        min_agreement=min_agreement,
    )
