"""The name of the machine that something was measured on."""

import os
import platform
from importlib import metadata
from pathlib import Path


def machine_name() -> str:
    """Return processor, cores, system, and versions that timings depend on.

    Example:
    >>> "Python" in machine_name()
    True
    """
    parts = [
        f"{_processor()}, {_cores()} cores",
        f"{platform.system()} {platform.release()}",
        f"Python {platform.python_version()}",
        f"LiteRT {package_version('ai-edge-litert')}",
    ]
    return ", ".join(parts)


def package_version(name: str) -> str:
    """Return the version of an installed package.

    Args:
        name: Its name on PyPI.

    Returns:
        The version, "(not installed)" without one.

    Example:
    >>> package_version("no-such-package")
    '(not installed)'
    """
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _processor() -> str:
    fields = ("model name", "Hardware", "Model")  # x86, and two of Arm's
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    pairs = (line.partition(":") for line in lines)
    values = {name.strip(): value.strip() for name, _, value in pairs}
    known = (values[field] for field in fields if values.get(field))
    return next(known, platform.processor() or platform.machine())


def _cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
