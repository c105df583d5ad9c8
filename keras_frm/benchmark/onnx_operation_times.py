"""Where the time of an .onnx file goes, operation by operation."""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_frm.benchmark.operation_times import OperationRow, OperationTimes
from keras_frm.benchmark.single_operation import TensorShape
from keras_frm.runtime.backends.network import NetworkOptions
from keras_frm.runtime.backends.onnx_runtime import (
    OnnxNetwork,
    load_session,
    session_options,
)

_NOTE = (
    "ONNX Runtime times each operation inside the whole file, after it has fused "
    "neighbours."
)
# The runtime's names of types.
_DTYPES = {"float": "float32", "double": "float64"}


def time_onnx_operations(
    path: str | Path,
    *,
    threads: int = 2,
    runs: int = 20,
    clock: Callable[[], float] = time.perf_counter,
    progress: Callable[[int, int | None], None] | None = None,
) -> OperationTimes:
    """Time each operation of an .onnx file, by the profiler of ONNX Runtime.

    Args:
        path: The file. Its input size must be fixed.
        threads: Threads of the runtime.
        runs: Timed runs; the median counts.
        clock: Returns seconds.
        progress: Called with runs done and their total.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged or of open size, or `runs` is below 1.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    if runs < 1:
        raise ValueError(f"runs must be 1 or more, not {runs}.")
    content = path.read_bytes()
    try:
        network = OnnxNetwork(content, NetworkOptions(threads))
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{path}: {error}") from error
    options = session_options(threads)
    options.enable_profiling = True
    whole = []
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = f"{folder}/profile"
        session = load_session(content, options)
        for done in range(1 + runs):  # the first one warms up
            start = clock()
            session.run(None, network.feed)
            whole.append(1e3 * (clock() - start))
            if progress is not None:
                progress(done, runs)
        events = json.loads(Path(session.end_profiling()).read_bytes())
    return OperationTimes(
        rows=tuple(_rows(events)),
        whole=float(np.median(whole[1:])),
        threads=threads,
        runs=runs,
        note=_NOTE,
    )


def _rows(events) -> list[OperationRow]:
    """Return operations of one kind and one set of shapes, the slowest first."""
    nodes: dict[str, list[dict]] = {}
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith("_kernel_time"):
            nodes.setdefault(event["name"], []).append(event)
    groups: dict[tuple, list[tuple[float, str]]] = {}
    for name, timed in nodes.items():
        about = timed[0]["args"]
        shapes = [_shapes(about[f"{end}_type_shape"]) for end in ("input", "output")]
        milliseconds = float(np.median([event["dur"] for event in timed[1:]])) / 1e3
        place = name.removesuffix("_kernel_time")
        groups.setdefault((about["op_name"], *shapes), []).append((milliseconds, place))
    rows = [
        OperationRow(
            operation=operation,
            count=len(members),
            milliseconds=float(np.mean([one for one, _ in members])),
            delegated=None,
            inputs=inputs,
            outputs=outputs,
            place=members[0][1],
        )
        for (operation, inputs, outputs), members in groups.items()
    ]
    return sorted(rows, key=lambda row: -row.total)


def _shapes(listed) -> tuple[TensorShape, ...]:
    """Return shapes as the profiler lists them: [{type: sizes}, ...]."""
    return tuple(
        TensorShape(tuple(sizes), _DTYPES.get(kind, kind), constant=False)
        for each in listed
        for kind, sizes in each.items()
    )
