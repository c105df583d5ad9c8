"""A side of `results/gpu` that fails in each way, told by the batch."""

import os
import time


def measure(case):
    """Return times, or fail."""
    print("a library's words")  # they must not be taken for an answer
    if case.batch == 8:
        raise RuntimeError("CUDA out of memory. Tried to allocate")
    if case.batch == 5:
        raise ValueError("a line\nand another one")
    if case.batch == 4:
        os._exit(1)
    if case.batch == 3:
        time.sleep(60)
    return {"first_s": 2.0, "call_s": 0.5, "peak_mib": 7.0, "calls": 3}
