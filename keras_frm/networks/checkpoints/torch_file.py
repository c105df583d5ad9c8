"""Read PyTorch checkpoints without PyTorch and without executing pickles."""

import io
import math
import os
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_frm.networks.checkpoints.restricted_pickle import (
    MAX_BYTES,
    CheckpointError,
    RestrictedUnpickler,
    check_file,
    damaged,
    named_arrays,
)

_REMEDY = "Re-save it with torch.save(model.state_dict(), path)."
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C

_STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}


class _Namespace:
    """Stands for the training options some checkpoints carry; they are not used."""

    def __setstate__(self, state):
        """Drop the state."""


def read_torch_checkpoint(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Return the tensors of a `.pth` or `.pth.tar` file by name.

    The pickle inside is read by an unpickler that knows tensors and containers and
    refuses everything else, so nothing of the file is executed. Both the zip format
    (PyTorch 1.6 on) and the one before it are read.

    Args:
        path: Path of the file. The state dict may lie under "state_dict" or "model".

    Returns:
        Name -> array.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: It is damaged, no PyTorch checkpoint, holds no state dict, or
            refers to code.
    """
    path = Path(path)
    check_file(path)
    try:
        content = _read_zip(path) if zipfile.is_zipfile(path) else _read_legacy(path)
    except CheckpointError:
        raise
    # A hostile pickle can raise anything at all; none of it may reach the caller.
    except Exception as error:
        raise damaged(path, "PyTorch", error) from error
    return _state_dict(content, path)


def _state_dict(content, path):
    """Return the mapping from names to arrays inside a checkpoint's content."""
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if isinstance(content, dict):
        tensors = named_arrays(content, np.ndarray)
        if tensors:
            return tensors
    raise CheckpointError(
        f"{path} holds no state dict, at the top or under 'state_dict' or 'model'. "
        "Save one with torch.save(model.state_dict(), path)."
    )


def _read_zip(path):
    """Read the format of PyTorch 1.6 and later: a zip of a pickle and raw storages."""
    with zipfile.ZipFile(path) as archive:
        pickles = [n for n in archive.namelist() if n.endswith("data.pkl")]
        if len(pickles) != 1:
            raise CheckpointError(
                f"{path} is a zip file without a data.pkl: no PyTorch checkpoint."
            )
        root = pickles[0].removesuffix("data.pkl")
        if sum(info.file_size for info in archive.infolist()) > MAX_BYTES:
            raise CheckpointError(f"{path} unpacks to more than 4 GiB; not read.")

        def load_storage(identity):
            kind, dtype, key, _, count = identity
            _check_storage(kind, path)
            data = archive.read(f"{root}data/{key}")
            return np.frombuffer(data, dtype, count=count)

        pickled = io.BytesIO(archive.read(pickles[0]))
        return _Unpickler(pickled, path, load_storage).load()


def _read_legacy(path):
    """Read the format before PyTorch 1.6: pickles, then raw storages."""
    with open(path, "rb") as file:
        if _Unpickler(file, path, None).load() != _LEGACY_MAGIC:
            raise CheckpointError(f"{path} is not a PyTorch checkpoint.")
        for _ in ("protocol version", "system information"):
            _Unpickler(file, path, None).load()
        storages = {}

        def load_storage(identity):
            kind, dtype, key, _, count, view = identity
            _check_storage(kind, path)
            if view is not None or count * np.dtype(dtype).itemsize > MAX_BYTES:
                raise CheckpointError(f"{path} holds a storage that cannot be read.")
            return storages.setdefault(key, np.zeros(count, dtype))

        content = _Unpickler(file, path, load_storage).load()
        for key in _Unpickler(file, path, None).load():
            storage = storages[key]
            (count,) = struct.unpack("<q", file.read(8))
            data = file.read(count * storage.itemsize)
            storage[:] = np.frombuffer(data, storage.dtype, count=count)
        return content


def _check_storage(kind, path):
    """Refuse a persistent object that is not a storage."""
    if kind != "storage":
        raise CheckpointError(f"{path} refers to an object of kind {kind!r}; refused.")


def _rebuild_tensor(storage, offset, size, stride, *_):
    """Return the array that a tensor's storage, offset, size and stride describe."""
    if math.prod(size) > storage.size:
        raise ValueError("a tensor is larger than its storage")
    offset, *strides = (step * storage.itemsize for step in (offset, *stride))
    # A view, as the old format fills the storages later; NumPy checks its bounds.
    return np.ndarray(size, storage.dtype, storage, offset, strides)


def _rebuild_parameter(data, *_):
    """Return the array of a parameter."""
    return data


def _numpy_scalar(*_):
    """Stand for a NumPy scalar, such as the best accuracy, which is not used."""


_ALLOWED: dict[tuple[str, str], object] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("argparse", "Namespace"): _Namespace,
    ("numpy.core.multiarray", "scalar"): _numpy_scalar,
    ("numpy._core.multiarray", "scalar"): _numpy_scalar,
    ("numpy", "dtype"): _Namespace,
    **{("torch", name): dtype for name, dtype in _STORAGES.items()},
}


class _Unpickler(RestrictedUnpickler):
    """Unpickler that knows tensors and containers and refuses everything else."""

    def __init__(self, file, path: Path, load_storage: Callable | None):
        super().__init__(file, path, _ALLOWED, _REMEDY)
        self._load_storage = load_storage

    def persistent_load(self, identity):
        if self._load_storage is None:
            raise ValueError("an unexpected storage")
        return self._load_storage(identity)
