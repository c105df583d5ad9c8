"""The peak memory of a model file, measured in a process of its own."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

_RUNS = 3
_TIMEOUT = 600  # seconds
_PACKAGE_ROOT = Path(__file__).parents[2]


def peak_memory(
    path: str | os.PathLike,
    size: tuple[int, int],
    threads: int = 2,
    provider: str | None = None,
) -> float:
    """Measure the peak resident memory of a process that runs a model file.

    The process loads the file and segments an image of the input's size a few times.
    What it holds is counted whole: Python, NumPy, OpenCV, the runtime (TensorFlow for
    a `.keras` file), the weights and the activations.

    Args:
        path: A model file as `open_model` takes it.
        size: Height and width of the input, for files that do not fix it.
        threads: Threads of the runtime.
        provider: What runs it, see `open_model`.

    Returns:
        Bytes; NaN where the system does not tell, or the process failed.
    """
    command = [sys.executable, "-m", __name__, str(path), *map(str, (*size, threads))]
    command += [] if provider is None else [provider]
    python_path = [str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, python_path)),
    }
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=environment,
            timeout=_TIMEOUT,
            check=True,
        )
        return float(done.stdout.split()[-1])
    except (subprocess.SubprocessError, ValueError, IndexError):
        return math.nan


def own_peak() -> float:
    """Return the peak resident memory of this process.

    Returns:
        Bytes; NaN where the system does not tell.

    Example:
    >>> not own_peak() < 1e6
    True
    """
    try:
        # Not getrusage: what it says starts from the process that started this one.
        status = Path("/proc/self/status").read_text()
        line = next(x for x in status.splitlines() if x.startswith("VmHWM:"))
        return 1024.0 * int(line.split()[1])
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return math.nan
    unit = 1 if sys.platform == "darwin" else 1024
    return float(unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _main() -> None:
    """Run the file that the arguments name and print the peak."""
    from keras_frm.benchmark.model_files import open_model

    path, height, width, threads, *provider = sys.argv[1:]
    model = open_model(
        path,
        size=(int(height), int(width)),
        threads=int(threads),
        provider=provider[0] if provider else None,
    )
    image = np.zeros((*model.input_size, 3), np.uint8)
    for _ in range(_RUNS):
        model.segment(image)
    print(own_peak())


if __name__ == "__main__":
    _main()
