"""The precisions a network can be exported in."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Precision:
    """How an exported file computes.

    Args:
        weights: Type of the weights in the file.
        activations: Type of most tensors between the operations.
        input_dtype: Type of the image that goes in.
        calibrated: Whether ranges must be measured on images.
        keeps_float: Whether LayerNorm and attention stay float in an integer file.
        min_agreement: Smallest share of pixels with the Keras model's class that an
            export passes with, unless the caller says otherwise.
    """

    weights: str
    activations: str
    input_dtype: str
    calibrated: bool = False
    keeps_float: bool = True
    min_agreement: float = 0.999


PRECISIONS = {
    "float32": Precision("float32", "float32", "float32", min_agreement=0.9999),
    "float16": Precision("float16", "float32", "float32", min_agreement=0.995),
    "dynamic": Precision("int8", "float32", "float32", min_agreement=0.9),
    "int8": Precision("int8", "int8", "uint8", calibrated=True, min_agreement=0.8),
    "int8_full": Precision(
        "int8", "int8", "uint8", calibrated=True, keeps_float=False, min_agreement=0.7
    ),
}


def precision_of(name: str) -> Precision:
    """Return a precision by its name.

    Raises:
        ValueError: There is none of this name.

    Example:
    >>> precision_of("int8").input_dtype
    'uint8'
    """
    if name not in PRECISIONS:
        raise ValueError(
            f"There is no precision '{name}'. Choose one of: {', '.join(PRECISIONS)}"
        )
    return PRECISIONS[name]
