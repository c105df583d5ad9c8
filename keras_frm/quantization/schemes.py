"""The arithmetics a network can be trained for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scheme:
    """How an engine holds tensors in 8 bits.

    Weights are symmetric with one scale for each output channel in all of them.

    Args:
        symmetric: Whether zero is in the middle of every activation's range.
    """

    symmetric: bool


SCHEMES = {
    "litert": Scheme(symmetric=False),
    # Q/DQ nodes without zero points.
    "tensorrt": Scheme(symmetric=True),
}


def scheme_of(name: str) -> Scheme:
    """Return a scheme by its name.

    Raises:
        ValueError: There is none of this name.

    Example:
    >>> scheme_of("tensorrt").symmetric
    True
    """
    if name not in SCHEMES:
        raise ValueError(
            f"There is no scheme '{name}'. Choose one of: {', '.join(SCHEMES)}"
        )
    return SCHEMES[name]
