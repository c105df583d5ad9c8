"""How long one of many equal calls takes."""

import time
from collections.abc import Callable

_WARM_UP, _LEAST, _SECONDS = 2, 3, 2.0


def first_and_later(call: Callable[[], object], wait: Callable[[object], None]) -> dict:
    """Time a call that hands its work to a device.

    Args:
        call: Starts the work and returns what it will give.
        wait: Waits for that.

    Returns:
        "first_s", seconds of the first call; "call_s", those of one of the later ones,
        which follow each other without waiting; "calls", how many these were.
    """
    first = seconds_of(call, wait, 1)
    warm = seconds_of(call, wait, _WARM_UP) / _WARM_UP
    calls = max(_LEAST, min(200, int(_SECONDS / warm)))
    return {
        "first_s": first,
        "call_s": seconds_of(call, wait, calls) / calls,
        "calls": calls,
    }


def seconds_of(call, wait, times: int) -> float:
    """Return how long so many calls take together."""
    start = time.perf_counter()
    for _ in range(times):
        given = call()
    wait(given)
    return time.perf_counter() - start
