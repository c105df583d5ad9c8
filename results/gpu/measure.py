"""Measure cases one after another until the time is over, and write what came out."""

import math
import time
from collections.abc import Iterator
from pathlib import Path

from results.gpu.cases import Case
from results.gpu.worker import Worker
from results.table import write_table

_SIDES = {
    "jax": "results.gpu.jax_side",
    "torch": "results.gpu.torch_side",
    "torch_compile": "results.gpu.torch_side",
}
_NOT_REACHED = "not reached in the time given"
_TOO_LARGE = "not tried: a smaller batch was out of memory"


def measure(cases: list[Case], out: Path, minutes: float, limit: float) -> None:
    """Write gpu.csv, a row for each case.

    Args:
        cases: In the order in which they are taken.
        out: Folder that is there.
        minutes: What all may take together.
        limit: Seconds that one may take.
    """
    write_table(rows(cases, time.monotonic() + 60 * minutes, limit), out / "gpu.csv")


def rows(cases: list[Case], end: float, limit: float) -> Iterator[dict]:
    """Yield the row of each case; a process dies before another side's begins."""
    worker, too_large, rates = None, [], {}
    for case in cases:
        left = end - time.monotonic()
        if left <= 0:
            yield row(case, {"outcome": _NOT_REACHED}, rates)
            continue
        if any(case.is_like(other) and case.batch > other.batch for other in too_large):
            yield row(case, {"outcome": _TOO_LARGE}, rates)
            continue
        if worker is None or worker.module != _SIDES[case.side]:
            if worker is not None:
                worker.end()
            worker = Worker(_SIDES[case.side])
        found = worker.ask(case, min(limit, left))
        if found["outcome"] == "out of memory":
            too_large.append(case)
        if case.what == "matmul" and found["outcome"] == "ok":
            rates[case.dtype] = case.operations() / found["call_s"]
        yield row(case, found, rates)
    if worker is not None:
        worker.end()


def row(case: Case, found: dict, rates: dict[str, float]) -> dict:
    """Return the row of a case.

    Args:
        case: What was measured.
        found: What came out.
        rates: Operations a second of a product of matrices, by dtype.
    """
    seconds = found.get("call_s", math.nan)
    rate = case.operations() / seconds
    return {
        "side": case.side,
        "what": case.what,
        "backbone": case.backbone,
        "size": f"{case.height}x{case.width}",
        "batch": case.batch,
        "dtype": case.dtype,
        "contrastive": case.contrastive,
        "rematerialized": case.rematerialize,
        "outcome": found["outcome"],
        "images_per_second": shown(case.batch / seconds, 1),
        "teraflops": shown(rate / 1e12, 3),
        "share_of_matmul": shown(rate / rates.get(case.dtype, math.nan), 3),
        "step_ms": shown(1000 * seconds, 2),
        "first_s": shown(found.get("first_s", math.nan), 1),
        "peak_mib": shown(found.get("peak_mib", math.nan), 0),
        "calls": found.get("calls", ""),
        "device": found.get("device", ""),
        "version": found.get("version", ""),
    }


def shown(number: float, digits: int) -> str:
    """Return a rounded number, nothing for one that is not known."""
    return "" if math.isnan(number) else f"{number:.{digits}f}"
