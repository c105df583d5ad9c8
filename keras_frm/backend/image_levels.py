"""Whether the numbers of a training's first images are RGB in [0, 255]."""

from keras_frm.backend import Tensor


def are_wrong(low: float | Tensor, high: float | Tensor) -> bool | Tensor:
    """Return whether a range is one of fractions, or lies around 0; black is none.

    Some levels below 0 are what resizing and noise make.

    Args:
        low: Lowest number of the images.
        high: Highest number of the images.

    Example:
    >>> are_wrong(0, 255), are_wrong(0, 1), are_wrong(-2, 2), are_wrong(0, 0)
    (False, True, True, False)
    """
    return ((high <= 1) & ((low < 0) | (high > 0))) | (low < -high / 4)


def refuse_wrong(low: float, high: float) -> None:
    """Raise if a range is none of RGB in [0, 255].

    Args:
        low: Lowest number of the images.
        high: Highest number of the images.

    Raises:
        ValueError: The range is wrong.

    Example:
    >>> refuse_wrong(0.0, 0.5)
    Traceback (most recent call last):
    ValueError: The training's first images hold numbers from 0 to 0.5, and the \
network takes RGB in [0, 255]: normalisation belongs inside the model. Multiply images \
in [0, 1] by 255.
    """
    if are_wrong(low, high):
        raise ValueError(
            f"The training's first images hold numbers from {low:g} to {high:g}, "
            "and the network takes RGB in [0, 255]: normalisation belongs inside "
            "the model. Multiply images in [0, 1] by 255."
        )
