"""How much of a tensor's range 256 numbers should cover."""

import numpy as np

BINS = 2048
_FRACTIONS = np.linspace(0.05, 1.0, 39)
_ROUNDS = 2


def best_range(counts: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Find the range that loses least, in the mean square, of rounding and clipping.

    Few numbers at the ends of a range cost all others precision; how far to go in is
    decided by the histogram. Zero stays inside, where int8 has it exactly.

    Args:
        counts: (BINS,) how many numbers lie in each of equal parts of the range.
        low: Smallest number.
        high: Largest number.

    Returns:
        Minimum and maximum of the range.

    Example:
    >>> counts = np.zeros(BINS)
    >>> counts[:200], counts[-1] = 1e6, 1
    >>> low, high = best_range(counts, 0.0, 100.0)
    >>> low, 9 < high < 20
    (0.0, True)
    """
    width = (high - low) / BINS
    centres = low + (np.arange(BINS) + 0.5) * width
    used = counts > 0
    counts, centres = counts[used], centres[used]
    low, high = min(low, 0.0), max(high, 0.0)
    best_low, best_high = low, high
    for _ in range(_ROUNDS):
        ends = high * _FRACTIONS if high > 0 else np.zeros(1)
        errors = [_loss(counts, centres, best_low, end) for end in ends]
        best_high = float(ends[np.argmin(errors)])
        ends = low * _FRACTIONS if low < 0 else np.zeros(1)
        errors = [_loss(counts, centres, end, best_high) for end in ends]
        best_low = float(ends[np.argmin(errors)])
    return best_low, best_high


def _loss(counts, centres, low, high):
    """Return the squared error of all numbers, rounded and clipped."""
    step = (high - low) / 255
    if step <= 0:
        return np.inf
    outside = np.maximum(centres - high, 0) + np.maximum(low - centres, 0)
    # Rounding to a step loses step^2 / 12 in the mean.
    inside = outside == 0
    return (counts * outside**2).sum() + counts[inside].sum() * step**2 / 12
