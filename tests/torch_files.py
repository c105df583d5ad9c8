"""Write PyTorch checkpoints without PyTorch, well-formed and hostile ones."""

import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

_MAGIC = 0x1950A86A20F9469CFC6C
_KINDS = {
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
    "bool": "BoolStorage",
}


class Global(NamedTuple):
    """A name that the pickle refers to, as a module's attribute."""

    module: str
    name: str


class Call(NamedTuple):
    """A call that unpickling would make."""

    function: Global
    args: tuple


class Storage(NamedTuple):
    """The flat memory of a tensor, kept outside the pickle."""

    key: str
    data: np.ndarray


def tensor(key: str, array: np.ndarray, offset=0, size=None, stride=None) -> Call:
    """Return what `torch.save` writes for a tensor; a wrong view of it if asked."""
    contiguous = np.ascontiguousarray(array)
    steps = tuple(step // array.itemsize for step in contiguous.strides)
    view = (
        Storage(key, contiguous.reshape(-1)),
        offset,
        array.shape if size is None else size,
        steps[: array.ndim] if stride is None else stride,
    )
    hooks = Call(Global("collections", "OrderedDict"), ())
    return Call(Global("torch._utils", "_rebuild_tensor_v2"), (*view, False, hooks))


def with_tensors(content, counter=None):
    """Replace the arrays in nested dicts by tensors, each with its own storage."""
    counter = [] if counter is None else counter
    if isinstance(content, Mapping):
        return {key: with_tensors(value, counter) for key, value in content.items()}
    if isinstance(content, np.ndarray):
        counter.append(None)
        return tensor(str(len(counter) - 1), content)
    return content


class _Pickler(pickle._Pickler):
    """Pickler that writes `Global`, `Call` and `Storage` as PyTorch's would be."""

    dispatch = dict(pickle._Pickler.dispatch)  # noqa: RUF012

    def __init__(self, file, protocol, legacy):
        super().__init__(file, protocol)
        self.legacy = legacy
        self.storages = {}

    def persistent_id(self, obj):
        if not isinstance(obj, Storage):
            return None
        self.storages[obj.key] = obj.data
        kind = Global("torch", _KINDS[obj.data.dtype.name])
        identity = ("storage", kind, obj.key, "cpu", obj.data.size)
        return (*identity, None) if self.legacy else identity

    def save_named(self, obj):
        if self.proto >= 4:
            self.save(obj.module)
            self.save(obj.name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())

    def save_call(self, obj):
        self.save(obj.function)
        self.save(tuple(obj.args))
        self.write(pickle.REDUCE)

    dispatch[Global] = save_named
    dispatch[Call] = save_call


def save_zip(path: Path, content, protocol=2, root="archive") -> Path:
    """Write the format of PyTorch 1.6 and later."""
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open(f"{root}/data.pkl", "w") as file:
            pickler = _Pickler(file, protocol, legacy=False)
            pickler.dump(with_tensors(content))
        archive.writestr(f"{root}/byteorder", "little")
        for key, data in pickler.storages.items():
            archive.writestr(f"{root}/data/{key}", data.tobytes())
        archive.writestr(f"{root}/version", "3\n")
    return path


def save_legacy(path: Path, content) -> Path:
    """Write the format before PyTorch 1.6."""
    with open(path, "wb") as file:
        for header in (_MAGIC, 1001, {"little_endian": True, "protocol_version": 1001}):
            pickle.dump(header, file, protocol=2)
        pickler = _Pickler(file, 2, legacy=True)
        pickler.dump(with_tensors(content))
        pickle.dump(sorted(pickler.storages), file, protocol=2)
        for key in sorted(pickler.storages):
            data = pickler.storages[key]
            file.write(struct.pack("<q", data.size) + data.tobytes())
    return path


def save_pickle_in_zip(path: Path, pickled: bytes, storages=()) -> Path:
    """Write raw pickle bytes as the content of a checkpoint."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        for key, data in dict(storages).items():
            archive.writestr(f"archive/data/{key}", data)
    return path


def official_van_state(dims, ratios, depths, seed=0) -> dict[str, np.ndarray]:
    """Return random arrays with VAN-Classification's names and shapes."""
    random = np.random.default_rng(seed)
    shapes, channels = {}, 3
    for stage, (dim, ratio, depth) in enumerate(zip(dims, ratios, depths, strict=True)):
        embed = f"patch_embed{stage + 1}"
        size = 7 if stage == 0 else 3
        shapes |= _conv(f"{embed}.proj", (dim, channels, size, size))
        shapes |= _norm(f"{embed}.norm", dim)
        for index in range(depth):
            shapes |= _block(f"block{stage + 1}.{index}", dim, dim * ratio)
        shapes |= {f"norm{stage + 1}.{n}": (dim,) for n in ("weight", "bias")}
        channels = dim
    state = {
        name: random.uniform(0.5, 1.5, shape).astype(np.float32)
        for name, shape in shapes.items()
    }
    trackers = [n for n in state if n.endswith("running_var")]
    for name in trackers:
        name = name.replace("running_var", "num_batches_tracked")
        state[name] = np.array(7, np.int64)
    return state


def _conv(name, shape):
    """Return the shapes of a convolution with bias."""
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _norm(name, dim):
    """Return the shapes of a BatchNorm."""
    names = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (dim,) for part in names}


def _block(name, dim, hidden):
    """Return the shapes of one VAN block."""
    gate = f"{name}.attn.spatial_gating_unit"
    return {
        f"{name}.layer_scale_1": (dim,),
        f"{name}.layer_scale_2": (dim,),
        **_norm(f"{name}.norm1", dim),
        **_norm(f"{name}.norm2", dim),
        **_conv(f"{name}.attn.proj_1", (dim, dim, 1, 1)),
        **_conv(f"{gate}.conv0", (dim, 1, 5, 5)),
        **_conv(f"{gate}.conv_spatial", (dim, 1, 7, 7)),
        **_conv(f"{gate}.conv1", (dim, dim, 1, 1)),
        **_conv(f"{name}.attn.proj_2", (dim, dim, 1, 1)),
        **_conv(f"{name}.mlp.fc1", (hidden, dim, 1, 1)),
        **_conv(f"{name}.mlp.dwconv.dwconv", (hidden, 1, 3, 3)),
        **_conv(f"{name}.mlp.fc2", (dim, hidden, 1, 1)),
    }
