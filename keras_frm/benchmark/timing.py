"""Time several calls in turn, so that their ratios hold on a noisy machine."""

import time
from collections.abc import Callable, Sequence

import numpy as np


def interleaved_times(
    calls: Sequence[Callable[[], object]],
    runs: int,
    *,
    warm_up: int = 2,
    clock: Callable[[], float] = time.perf_counter,
    on_round: Callable[[], object] = lambda: None,
) -> np.ndarray:
    """Time calls in rounds: one run of each in turn, round after round.

    What slows the machine down for a while slows all of them, so the ratio inside a
    round stays, where timing one call after another would compare different minutes.

    Args:
        calls: What to time.
        runs: Number of timed rounds.
        warm_up: Rounds before them that are not timed.
        clock: Returns seconds.
        on_round: Called after each round, warm-up included.

    Returns:
        (runs, len(calls)) float64 milliseconds.

    Raises:
        ValueError: `runs` is not positive.

    Example:
    >>> ticks = iter([0.0, 1.0, 1.0, 4.0])
    >>> interleaved_times(
    ...     [int, float], runs=1, warm_up=0, clock=lambda: next(ticks)
    ... ).tolist()
    [[1000.0, 3000.0]]
    """
    if runs < 1:
        raise ValueError(f"The number of runs must be at least 1, not {runs}.")
    times = np.zeros((runs, len(calls)))
    for round_ in range(-warm_up, runs):
        for position, call in enumerate(calls):
            start = clock() if round_ >= 0 else 0.0
            call()
            if round_ >= 0:
                times[round_, position] = 1e3 * (clock() - start)
        on_round()
    return times
