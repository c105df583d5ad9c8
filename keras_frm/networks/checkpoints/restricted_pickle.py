"""Pickles of others, read without executing anything of them."""

import pickle
import pickletools
from collections.abc import Mapping
from functools import partial
from inspect import isfunction
from pathlib import Path

# Larger files are no checkpoints of the networks here.
MAX_BYTES = 4 << 30


class CheckpointError(ValueError):
    """A checkpoint cannot be read; the message names the file and the remedy."""


class RestrictedUnpickler(pickle.Unpickler):
    """Unpickler that knows what a table allows, and refuses everything else.

    Args:
        file: Open for reading bytes.
        path: Path of the file, for the message.
        allowed: Module and name that a pickle may refer to -> what it gets, which is
            code of ours.
        remedy: What to do about a file that refers to something else.

    Raises:
        ValueError: The pickle would fill the memory before it is read.
    """

    def __init__(
        self,
        file,
        path: Path,
        allowed: Mapping[tuple[str, str], object],
        remedy: str,
    ):
        _check_memo(file)
        super().__init__(file, encoding="utf-8")
        self._path = path
        self._allowed = allowed
        self._remedy = remedy

    def find_class(self, module, name):
        if (module, name) in self._allowed:
            allowed = self._allowed[module, name]
            # A pickle can set attributes of what it gets: not those of a function here.
            return partial(allowed) if isfunction(allowed) else allowed
        raise CheckpointError(
            f"{self._path} refers to {f'{module}.{name}'!r}, which is no part of "
            f"a state dict; nothing was run. {self._remedy}"
        )


def check_file(path: Path) -> None:
    """Refuse a file that is not there, or larger than any checkpoint.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: It is too large.
    """
    if not path.is_file():
        raise FileNotFoundError(f"There is no checkpoint at {path}.")
    if path.stat().st_size > MAX_BYTES:
        raise CheckpointError(f"{path} is larger than 4 GiB: no checkpoint known here.")


def damaged(path: Path, framework: str, error: Exception) -> CheckpointError:
    """Return the error of a file whose reading failed in one way or another.

    Args:
        path: The file.
        framework: Name of what should have written it.
        error: What its reading raised, which can be anything at all.
    """
    reason = f"{type(error).__name__}: {error}"[:200]
    reason = "".join(c if c.isprintable() else " " for c in reason)
    return CheckpointError(
        f"{path} is damaged or is not a {framework} checkpoint ({reason}). "
        "Download it again."
    )


def named_arrays(content: Mapping, kind: type) -> dict:
    """Return the entries of a table that have a name and a value of a kind."""
    return {
        key: value
        for key, value in content.items()
        if isinstance(key, str) and key.isprintable() and isinstance(value, kind)
    }


def _check_memo(file):
    """Refuse a pickle whose memo has gaps: a table of the largest index is made."""
    start = file.tell()
    for opcode, index, position in pickletools.genops(file):
        if opcode.name in ("PUT", "LONG_BINPUT") and not 0 <= index <= position:
            raise ValueError("the pickle's memo has gaps")
    file.seek(start)
