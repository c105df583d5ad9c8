"""Read PaddlePaddle checkpoints without Paddle and without executing pickles."""

import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from keras_frm.networks.checkpoints.restricted_pickle import (
    CheckpointError,
    RestrictedUnpickler,
    check_file,
    damaged,
    named_arrays,
)

_REMEDY = "Re-save it with paddle.save(model.state_dict(), path)."
# NumPy's names of the types that a network's tensors have.
_TYPES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1")
# Paddle's names of a BatchNorm's statistics -> PyTorch's.
_STATISTICS = {"_mean": "running_mean", "_variance": "running_var"}


def read_paddle_checkpoint(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Return the tensors of a `.pdparams` file, by the names PyTorch would give them.

    Such a file is a pickled dict of NumPy arrays, beside a table of Paddle's own names,
    which is left out. The pickle is read by an unpickler that knows arrays and
    containers and refuses everything else, so nothing of the file is executed.

    Args:
        path: Path of the file, as `paddle.save` writes the state dict of a layer.

    Returns:
        Name -> array. Paddle's `_mean` and `_variance` are `running_mean` and
        `running_var`.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: It is damaged, no Paddle checkpoint, holds no state dict, or
            refers to code.
    """
    path = Path(path)
    check_file(path)
    try:
        with open(path, "rb") as file:
            content = RestrictedUnpickler(file, path, _ALLOWED, _REMEDY).load()
        arrays = named_arrays(content, _Array) if isinstance(content, dict) else {}
        tensors = {_torch_name(key): array.value for key, array in arrays.items()}
    except CheckpointError:
        raise
    # A hostile pickle can raise anything at all; none of it may reach the caller.
    except Exception as error:
        raise damaged(path, "Paddle", error) from error
    if not tensors:
        raise CheckpointError(f"{path} holds no state dict. {_REMEDY}")
    return tensors


def paddle_names(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return tensors of PyTorch's names by those that Paddle gives them.

    Example:
    >>> list(paddle_names({"bn.running_mean": np.zeros(3), "k": np.zeros(3)}))
    ['bn._mean', 'k']
    """
    paddle = {torch: paddle for paddle, torch in _STATISTICS.items()}
    return {_with_last(key, paddle): value for key, value in state.items()}


def _torch_name(key):
    return _with_last(key, _STATISTICS)


def _with_last(key, names):
    """Return a name of which the part after the last dot is another one."""
    module, dot, last = key.rpartition(".")
    return f"{module}{dot}{names.get(last, last)}"


class _Array:
    """Stands for an array while it is read; its value comes from our own code."""

    def __setstate__(self, state):
        """Take NumPy's description: version, shape, type, order, bytes."""
        _, shape, dtype, is_fortran, data = state
        if not isinstance(dtype, _Type):
            raise ValueError("a tensor without a type")
        # A view: of copies, a small file could ask for any number.
        flat = np.frombuffer(data, dtype.code)
        self.value = flat.reshape(shape, order="F" if is_fortran else "C")


class _Type:
    """Stands for the type of an array's numbers."""

    def __init__(self, code, *_):
        if code not in _TYPES:
            raise ValueError(f"tensors of type {code!r}")
        self.code = np.dtype(code)

    def __setstate__(self, state):
        """Take NumPy's description, of which only the order of the bytes counts."""
        order = state[1]
        if order not in ("<", ">", "|"):
            raise ValueError(f"bytes in the order {order!r}")
        self.code = self.code.newbyteorder(order)


def _reconstruct(*_):
    """Return an array whose description follows."""
    return _Array()


def _encode(text, encoding):
    """Return the bytes that protocols before 3 write as text."""
    if encoding != "latin1":
        raise ValueError(f"bytes written as {encoding!r}")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], object] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,
}
