"""Where the time of an exported file goes, operation by operation."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from keras_frm.benchmark.single_operation import TensorShape, TfliteOperations
from keras_frm.benchmark.timing import interleaved_times
from keras_frm.export.tflite.partitions import delegated_outputs
from keras_frm.runtime.backends.litert import load_interpreter, open_tflite

# What the inputs and outputs of files timed side by side may take, in bytes.
_MEMORY = 1 << 30


class OperationRow(NamedTuple):
    """One kind of operation of a file: same options, shapes and types.

    Args:
        operation: Its name, such as CONV_2D.
        count: How often the file has it.
        milliseconds: Median of one, run alone; NaN if it cannot run alone.
        delegated: Whether XNNPACK ran it, alone; None if unknown.
        inputs: Shapes of its inputs, constants among them.
        outputs: Shapes of its outputs.
        place: Name of the tensor that the first one puts out.
        problem: Why it cannot run alone, or "".
    """

    operation: str
    count: int
    milliseconds: float
    delegated: bool | None
    inputs: tuple[TensorShape, ...]
    outputs: tuple[TensorShape, ...]
    place: str
    problem: str = ""

    @property
    def total(self) -> float:
        """Milliseconds of all of them, NaN if unknown."""
        return self.milliseconds * self.count


@dataclass(frozen=True)
class OperationTimes:
    """The operations of a file by their time, and the time of the whole.

    Args:
        rows: Slowest in total first; those of unknown time last.
        whole: Milliseconds of the whole file, median.
        threads: Threads of the runtime.
        runs: Timed runs of each operation.
        note: How the times came about, in a sentence or two.
    """

    rows: tuple[OperationRow, ...]
    whole: float
    threads: int
    runs: int
    note: str

    @property
    def sum(self) -> float:
        """Milliseconds of all operations whose time is known."""
        return sum(row.total for row in self.rows if not row.problem)

    def share(self, row: OperationRow) -> float:
        """Return a row's part of the sum, NaN if unknown."""
        return row.total / self.sum if self.sum else math.nan


def time_operations(
    model: str | Path | bytes,
    *,
    threads: int = 2,
    runs: int = 20,
    clock: Callable[[], float] = time.perf_counter,
    progress: Callable[[int, int | None], None] | None = None,
) -> OperationTimes:
    """Time each kind of operation of a .tflite file.

    LiteRT's Python interpreter has no profiler, so each operation is cut out into a
    file of its own and run by the same interpreter with the same threads, XNNPACK
    included. The sum differs from the time of the whole file: there XNNPACK fuses
    neighbours and shares memory, and alone each operation pays its own dispatch.

    Args:
        model: Path or content of the file. Its input size must be fixed.
        threads: Threads of the interpreter.
        runs: Timed runs of each operation, in turn; the median counts.
        clock: Returns seconds.
        progress: Called with operations timed and their total.

    Returns:
        The times; operations that cannot run alone are in it, with their problem.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged, of flexible size, or `runs` is below 1.

    Example:
    >>> import tensorflow as tf
    >>> double = tf.function(lambda x: x + x, [tf.TensorSpec((1, 4), "float32")])
    >>> convert = tf.lite.TFLiteConverter.from_concrete_functions
    >>> content = convert([double.get_concrete_function()]).convert()
    >>> [(row.operation, row.count) for row in time_operations(content).rows]
    [('ADD', 1)]
    """
    name = "The file" if isinstance(model, bytes) else str(model)
    content = model if isinstance(model, bytes) else _read(Path(model))
    try:
        whole = open_tflite(content, threads)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    graph = TfliteOperations(content)
    if graph.has_flexible_size():
        raise ValueError(
            f"{name} takes images of any size, so its operations have no time; export "
            "it with a fixed input size."
        )
    groups = {}
    for operation in graph.operations:
        groups.setdefault(graph.signature(operation), []).append(operation)
    _fill_inputs(whole)
    rows, whole_times = [], []
    for batch in _batches(graph, list(groups.values())):
        candidates = [_alone(graph, group[0], threads) for group in batch]
        runnable = [c for c in candidates if not c.problem]
        calls = [whole.invoke, *(c.interpreter.invoke for c in runnable)]
        times = interleaved_times(calls, runs, clock=clock)
        whole_times.append(times[:, 0])
        medians = iter(np.median(times[:, 1:], axis=0).tolist())
        for group, candidate in zip(batch, candidates, strict=True):
            milliseconds = math.nan if candidate.problem else next(medians)
            rows.append(_row(graph, group, candidate, milliseconds))
        if progress is not None:
            progress(len(rows), len(groups))
    rows.sort(key=lambda row: (bool(row.problem), 0 if row.problem else -row.total))
    return OperationTimes(
        rows=tuple(rows),
        whole=float(np.median(whole_times)),
        threads=threads,
        runs=runs,
        note=_note(len(delegated_outputs(whole))),
    )


def _note(delegates: int) -> str:
    """Return how the times came about, for a number of delegated pieces."""
    pieces = "1 piece" if delegates == 1 else f"{delegates} pieces"
    return (
        f"XNNPACK runs {pieces} of it. The difference is fusion of neighbours, shared "
        "memory and dispatch: each operation was timed alone."
    )


def _read(path) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    return path.read_bytes()


class _Alone(NamedTuple):
    """An operation in its own interpreter, or why there is none."""

    interpreter: Interpreter | None
    delegated: bool | None
    problem: str


def _alone(graph, operation, threads) -> _Alone:
    """Return an operation ready to run by itself."""
    try:
        interpreter = load_interpreter(graph.cut(operation), threads)
        _fill_inputs(interpreter)
        interpreter.invoke()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        return _Alone(None, None, reason or "the interpreter refuses it")
    outputs = {detail["index"] for detail in interpreter.get_output_details()}
    delegated = outputs <= set().union(*delegated_outputs(interpreter))
    return _Alone(interpreter, delegated, "")


def _row(graph, group, candidate, milliseconds) -> OperationRow:
    first = group[0]
    return OperationRow(
        operation=graph.name(first),
        count=len(group),
        milliseconds=milliseconds,
        delegated=candidate.delegated,
        inputs=graph.inputs(first),
        outputs=graph.outputs(first),
        place=graph.place(first),
        problem=candidate.problem,
    )


def _batches(graph, groups) -> Iterator[list]:
    """Yield groups that fit into memory side by side, at least one at a time."""
    batch, used = [], 0
    for group in groups:
        shapes = (*graph.inputs(group[0]), *graph.outputs(group[0]))
        size = sum(4 * math.prod(shape.shape) for shape in shapes)
        if batch and used + size > _MEMORY:
            yield batch
            batch, used = [], 0
        batch.append(group)
        used += size
    if batch:
        yield batch


def _fill_inputs(interpreter) -> None:
    """Set the inputs to numbers at random; to zeros where they may be indices."""
    random = np.random.default_rng(0)
    for detail in interpreter.get_input_details():
        shape, dtype = detail["shape"], np.dtype(detail["dtype"])
        if dtype.kind == "f":
            values = random.random(shape, np.float32).astype(dtype)
        elif dtype.kind in "iu" and dtype.itemsize <= 2:
            info = np.iinfo(dtype)
            values = random.integers(info.min, info.max, shape, dtype, endpoint=True)
        else:
            values = np.zeros(shape, dtype)
        interpreter.set_tensor(detail["index"], values)
