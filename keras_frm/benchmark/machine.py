"""The name of the machine that something was measured on."""

import os
import platform
from importlib import metadata

from keras_frm.processor import processor_fields, processor_flags

# What int8 kernels are made of; without VNNI, XNNPACK's gain little over float on x86.
_INSTRUCTIONS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "asimddp", "i8mm")


def machine_name() -> str:
    """Return processor, cores, system, and versions that timings depend on.

    Example:
    >>> "Python" in machine_name()
    True
    """
    parts = [
        f"{_processor()} ({_instructions()}), {_cores()} cores",
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
    known = processor_fields()
    found = (known[field] for field in fields if known.get(field))
    return next(found, platform.processor() or platform.machine())


def _instructions() -> str:
    flags = processor_flags()
    return " ".join(name for name in _INSTRUCTIONS if name in flags) or "flags unknown"


def _cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
