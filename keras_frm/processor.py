"""What this processor has for the arithmetic of networks."""

import functools
from pathlib import Path


@functools.cache
def processor_fields() -> dict[str, str]:
    """Return what the system says of it, nothing where it hides that.

    Example:
    >>> all(name == name.strip() for name in processor_fields())
    True
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


def processor_flags() -> frozenset[str]:
    """Return the names of its instructions, none where the system hides them.

    Example:
    >>> "teleport" in processor_flags()
    False
    """
    known = processor_fields()
    flags = f"{known.get('flags', '')} {known.get('Features', '')}"  # x86, Arm
    return frozenset(flags.split())


def multiplies_bytes() -> bool:
    """Whether products of bytes are added in 32 bits, as VNNI and Arm do.

    Other x86 processors add two products in 16 bits, which 255 and 127 overflow.
    """
    flags = processor_flags()
    x86 = {"avx2", "sse2", "avx"}.intersection(flags)
    return not x86 or bool({"avx512_vnni", "avx_vnni"}.intersection(flags))
