"""What this processor has for the arithmetic of networks."""

import functools
from pathlib import Path


@functools.cache
def processor_flags() -> frozenset[str]:
    """Return the names of its instructions, none where the system hides them.

    Example:
    >>> "teleport" in processor_flags()
    False
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return frozenset()
    pairs = (line.partition(":") for line in lines)
    lists = (list_ for name, _, list_ in pairs if name.strip() in ("flags", "Features"))
    return frozenset(next(lists, "").split())


def multiplies_bytes() -> bool:
    """Whether products of bytes are added in 32 bits, as VNNI and Arm do.

    Other x86 processors add two products in 16 bits, which 255 and 127 overflow.
    """
    flags = processor_flags()
    x86 = {"avx2", "sse2", "avx"}.intersection(flags)
    return not x86 or bool({"avx512_vnni", "avx_vnni"}.intersection(flags))
