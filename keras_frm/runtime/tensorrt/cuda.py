"""The few functions of CUDA's driver that an engine needs.

The driver is on every machine with a GPU. Packages that wrap it are not: those of
JetPack 6 do not fit its Python, and each is for one version of CUDA.
"""

import ctypes
import functools
import sys

import numpy as np

_NAME_BYTES = 256


class Buffer:
    """Memory of the GPU, freed with the object.

    Args:
        size: In bytes.
    """

    def __init__(self, size: int):
        self._address = ctypes.c_uint64()
        _call("cuMemAlloc_v2", ctypes.byref(self._address), ctypes.c_size_t(size))

    @property
    def address(self) -> int:
        """Where it is."""
        return self._address.value

    def write(self, array: np.ndarray) -> None:
        """Copy a contiguous array to the GPU."""
        pointer, size = array.ctypes.data_as(ctypes.c_void_p), array.nbytes
        _call("cuMemcpyHtoD_v2", self._address, pointer, ctypes.c_size_t(size))

    def read(self, array: np.ndarray) -> None:
        """Copy from the GPU into a contiguous array."""
        pointer, size = array.ctypes.data_as(ctypes.c_void_p), array.nbytes
        _call("cuMemcpyDtoH_v2", pointer, self._address, ctypes.c_size_t(size))

    def __del__(self):
        if self._address and not sys.is_finalizing():
            _driver().cuMemFree_v2(self._address)


class Stream:
    """An order of work on the GPU."""

    def __init__(self):
        self._handle = ctypes.c_void_p()
        _call("cuStreamCreate", ctypes.byref(self._handle), ctypes.c_uint(0))

    @property
    def handle(self) -> int:
        """What TensorRT knows it by."""
        return self._handle.value or 0

    def wait(self) -> None:
        """Return when all of its work is done."""
        _call("cuStreamSynchronize", self._handle)


def device_name() -> str:
    """Return the name of the first GPU, such as "Orin".

    Raises:
        RuntimeError: There is none.
    """
    device, name = _device(), ctypes.create_string_buffer(_NAME_BYTES)
    _call("cuDeviceGetName", name, ctypes.c_int(_NAME_BYTES), device)
    return name.value.decode(errors="replace")


def use_device() -> None:
    """Let this thread work on the first GPU, in the context that TensorRT works in.

    Raises:
        RuntimeError: There is none.
    """
    _call("cuCtxSetCurrent", _context())


@functools.cache
def _context():
    context = ctypes.c_void_p()
    _call("cuDevicePrimaryCtxRetain", ctypes.byref(context), _device())
    return context


@functools.cache
def _device():
    _call("cuInit", ctypes.c_uint(0))
    device = ctypes.c_int()
    _call("cuDeviceGet", ctypes.byref(device), ctypes.c_int(0))
    return device


@functools.cache
def _driver():
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        return ctypes.CDLL(name)
    except OSError as error:
        raise RuntimeError(f"there is no driver of an NVIDIA GPU ({error})") from error


def _call(name: str, *arguments) -> None:
    """Call a function of the driver, which returns 0 where all is well."""
    status = getattr(_driver(), name)(*arguments)
    if status:
        raise RuntimeError(f"{name} of CUDA's driver failed with error {status}")
