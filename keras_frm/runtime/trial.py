"""Try a model file in a process of its own before this process opens it.

An interpreter trusts its file, so a damaged one can crash the process or keep it busy
for ever. A short-lived child process opens the file and runs it first. What passed is
remembered by its digest in a cache folder: `KERAS_FRM_CACHE`, or `keras_frm` in the
user's cache folder. A file made to fail on certain images only passes a trial.
"""

import contextlib
import hashlib
import importlib
import json
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

from keras_frm import __version__
from keras_frm.runtime.errors import ModelFileError

TIME_LIMIT = 60.0  # seconds; start of Python, loading and two runs
_MEMORY_LIMIT = 4 * 2**30  # bytes beyond what the libraries take
_REFUSED = 87  # exit status
_TRUST = "pass verify=False if you trust the file"
_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from keras_frm.runtime import trial; trial.main()"
)


def try_apart(
    content: bytes, backend: str, runtime: str, num_threads: int, *further
) -> None:
    """Open and run a model file in a child process, unless it passed before.

    Args:
        content: The file.
        backend: Name of the module whose `exercise(content, num_threads, *further)`
            runs it.
        runtime: Name and version of what runs it; another one tries again.
        num_threads: Threads of the runtime.
        further: What else `exercise` takes, as JSON can say it.

    Raises:
        ModelFileError: The file crashes or stalls the runtime, or is refused by it; or
            no process can be started.
    """
    arguments = num_threads, *further
    marker = _marker(content, runtime, arguments)
    with contextlib.suppress(OSError):
        if marker is not None and marker.is_file():
            return
    _run_child(content, backend, arguments)
    with contextlib.suppress(OSError):
        if marker is not None:
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.touch()


def main() -> None:
    """Run in the child process: read a file from stdin, exit with what became of it."""
    backend, arguments = sys.argv[2], json.loads(sys.argv[3])
    content = sys.stdin.buffer.read()
    module = importlib.import_module(backend)
    _limit_resources(arguments[0])
    try:
        module.exercise(content, *arguments)
    except Exception as error:
        print(str(error) or type(error).__name__)
        sys.exit(_REFUSED)


def _run_child(content: bytes, backend: str, arguments: tuple) -> None:
    if getattr(sys, "frozen", False) or not sys.executable:
        raise ModelFileError(f"there is no Python to try it with; {_TRUST}")
    path = json.dumps([str(folder) for folder in sys.path])
    arguments = json.dumps(arguments)
    command = [sys.executable, "-I", "-c", _CHILD, path, backend, arguments]
    try:
        done = subprocess.run(
            command,
            input=content,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            timeout=TIME_LIMIT,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except subprocess.TimeoutExpired:
        raise ModelFileError(
            f"a trial did not end within {TIME_LIMIT:g} seconds; {_TRUST} and know "
            "that this machine is slow"
        ) from None
    except OSError as error:
        raise ModelFileError(
            f"no process can be started to try it ({error}); {_TRUST}"
        ) from None
    if done.returncode == _REFUSED:
        lines = done.stdout.decode(errors="replace").strip().splitlines()
        raise ModelFileError(lines[0] if lines else "the interpreter refuses it")
    if done.returncode == 1:  # Python's own, before anything ran
        raise ModelFileError(f"its trial could not begin; {_TRUST}")
    if done.returncode:
        raise ModelFileError(f"it crashes the interpreter ({_ended(done.returncode)})")


def _ended(status: int) -> str:
    """Name the signal that ended a process, or its exit status."""
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"exit status {status}"


def _limit_resources(num_threads: int) -> None:
    """Bound this process, even if nobody is left to end it."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: int(2 * TIME_LIMIT * num_threads),
    }
    with contextlib.suppress(OSError):  # only Linux tells what is in use
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limits[resource.RLIMIT_AS] = pages * resource.getpagesize() + _MEMORY_LIMIT
    for name, wanted in limits.items():
        with contextlib.suppress(OSError, ValueError):
            _, most = resource.getrlimit(name)
            limit = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
            resource.setrlimit(name, (limit, most))


def _marker(content: bytes, runtime: str, arguments: tuple) -> Path | None:
    """Return the file whose presence says that a trial was passed."""
    folder = _cache_folder()
    if folder is None:
        return None
    circumstances = (runtime, *arguments, __version__, platform.machine())
    digest = hashlib.sha256(repr(circumstances).encode())
    digest.update(hashlib.sha256(content).digest())
    return folder / "passed_trials" / digest.hexdigest()


def _cache_folder() -> Path | None:
    """Return the user's cache folder of this package, None where there is none."""
    if given := os.environ.get("KERAS_FRM_CACHE"):
        return Path(given)
    with contextlib.suppress(RuntimeError):  # no home
        if sys.platform == "win32":
            base = os.environ.get("LOCALAPPDATA", "")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(base) / "keras_frm" if os.path.isabs(base) else None
    return None
