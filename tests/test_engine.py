"""Engines of TensorRT, which no machine of the tests has: a stand-in runs instead."""

import ctypes
import json
import sys
import types

import numpy as np
import onnx_files
import pytest
from test_cli import keras_frm
from test_onnx_runtime import COLOURS, SIZE, about, image_of, own_file

from keras_frm.runtime.errors import ModelFileError
from keras_frm.runtime.segmenter import Segmenter
from keras_frm.runtime.tensorrt import cuda
from keras_frm.runtime.tensorrt.build import build_engine, trtexec_line

FLOAT16 = own_file(precision="float16")


class Driver:
    """CUDA's driver with memory of the processor."""

    def __init__(self, name=b"Orin (nvgpu)"):
        self.name = name
        self.arrays = {}
        self.freed = []

    def cuInit(self, flags):  # noqa: N802
        return 0

    def cuDeviceGet(self, device, index):  # noqa: N802
        return 0

    def cuDeviceGetName(self, name, size, device):  # noqa: N802
        name.value = self.name
        return 0

    def cuDevicePrimaryCtxRetain(self, context, device):  # noqa: N802
        return 0

    def cuCtxSetCurrent(self, context):  # noqa: N802
        return 0

    def cuStreamCreate(self, stream, flags):  # noqa: N802
        return 0

    def cuStreamSynchronize(self, stream):  # noqa: N802
        return 0

    def cuMemAlloc_v2(self, address, size):  # noqa: N802
        memory = ctypes.create_string_buffer(size.value)
        address._obj.value = ctypes.addressof(memory)
        self.arrays[address._obj.value] = memory
        return 0

    def cuMemcpyHtoD_v2(self, address, pointer, size):  # noqa: N802
        ctypes.memmove(address.value, pointer, size.value)
        return 0

    def cuMemcpyDtoH_v2(self, pointer, address, size):  # noqa: N802
        ctypes.memmove(pointer, address.value, size.value)
        return 0

    def cuMemFree_v2(self, address):  # noqa: N802
        self.freed.append(address.value)
        return 0


class Context:
    """Runs the network of `own_file`: scores are the colours."""

    def __init__(self):
        self.addresses = {}

    def set_tensor_address(self, name, address):
        self.addresses[name] = address

    def execute_async_v3(self, stream):
        pixels = (ctypes.c_uint8 * (3 * SIZE[0] * SIZE[1])).from_address(
            self.addresses["image"]
        )
        scores = np.array(pixels, np.float32)
        ctypes.memmove(
            self.addresses["scores"],
            scores.ctypes.data_as(ctypes.c_void_p),
            4 * len(scores),
        )
        return True


class Engine:
    num_io_tensors = 2
    names = ("image", "scores")

    def get_tensor_name(self, index):
        return self.names[index]

    def get_tensor_shape(self, name):
        return (1, *SIZE, 3)

    def get_tensor_dtype(self, name):
        return np.uint8 if name == "image" else np.float32

    def get_tensor_mode(self, name):
        return name == "image"

    def create_execution_context(self):
        return Context()


def stand_in(version="10.3.0", *, parses=True, shape=(1, *SIZE, 3), plan=b"plan"):
    """A module `tensorrt` that notes what is done with it."""
    done = []

    class Config:
        def set_flag(self, flag):
            done.append(flag)

        def set_memory_pool_limit(self, pool, size):
            done.append((pool, size))

    class Builder:
        def __init__(self, logger):
            pass

        def create_network(self, flags):
            done.append(f"flags {flags}")
            return types.SimpleNamespace(
                get_input=lambda index: types.SimpleNamespace(shape=shape)
            )

        def create_builder_config(self):
            return Config()

        def build_serialized_network(self, network, config):
            return plan

    class Logger:
        WARNING = 2

        def __init__(self, level):
            pass

    class OnnxParser:
        num_errors = 1

        def __init__(self, network, logger):
            pass

        def parse(self, content):
            return parses

        def get_error(self, index):
            return types.SimpleNamespace(desc=lambda: "no such\nnode")

    class Runtime:
        def __init__(self, logger):
            pass

        def deserialize_cuda_engine(self, content):
            return Engine() if content == b"plan" else None

    module = types.ModuleType("tensorrt")
    module.__version__ = version
    module.Builder, module.Logger, module.Runtime = Builder, Logger, Runtime
    module.OnnxParser = OnnxParser
    module.NetworkDefinitionCreationFlag = types.SimpleNamespace(STRONGLY_TYPED=1)
    # Version 11 has no flags of precisions any more.
    weak = {"FP16": "FP16", "INT8": "INT8"} if version < "11" else {}
    module.BuilderFlag = types.SimpleNamespace(**weak)
    module.MemoryPoolType = types.SimpleNamespace(WORKSPACE="workspace")
    module.TensorIOMode = types.SimpleNamespace(INPUT=True, OUTPUT=False)
    module.nptype = lambda kind: kind
    module.done = done
    return module


def forget():
    """Let the next call look for the GPU again."""
    cuda._device.cache_clear()
    cuda._context.cache_clear()


@pytest.fixture
def machine(monkeypatch):
    """A machine with a GPU and a version of TensorRT."""

    def make(*arguments, gpu=b"Orin (nvgpu)", **options):
        module = stand_in(*arguments, **options)
        driver = Driver(gpu)
        monkeypatch.setitem(sys.modules, "tensorrt", module)
        monkeypatch.setattr(cuda, "_driver", lambda: driver)
        forget()
        return module

    yield make
    forget()


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(FLOAT16)
    return path


# === Building ===


@pytest.mark.parametrize(
    ("version", "precision", "expected", "words"),
    [
        ("10.3.0", "float16", ["flags 0", "FP16"], "--fp16"),
        ("10.3.0", "int8", ["flags 0", "FP16", "INT8"], "--fp16 --int8"),
        ("10.13.3.9", "float16", ["flags 2"], "--stronglyTyped"),
        ("10.16.2", "int8", ["flags 2"], "--stronglyTyped"),
        ("11.4.1", "float16", ["flags 0"], ".engine"),
    ],
)
def test_precision_is_that_of_the_file(
    version, precision, expected, words, machine, model
):
    module = machine(version)
    model.write_bytes(own_file(precision=precision))
    report = build_engine(model)
    assert module.done == expected
    assert report.trtexec.endswith(words)
    assert report.path.read_bytes() == b"plan"
    release = ".".join(version.split(".")[:2])
    assert report.path.name == f"net.orin-nvgpu.trt{release}.engine"
    assert report.trtexec in str(report)


def test_a_file_in_float32_is_refused_unless_it_is_wanted(machine, model):
    machine()
    model.write_bytes(own_file())
    with pytest.raises(ValueError, match=r"precision='float16', or pass"):
        build_engine(model)
    assert len(list(model.parent.iterdir())) == 1
    report = build_engine(model, precision="float32")
    assert "--fp16" not in report.trtexec


def test_a_foreign_file(machine, model):
    module = machine()
    onnx_files.write(model, onnx_files.colour_scores(SIZE))
    report = build_engine(model, model.parent / "own.engine", workspace=2**28)
    assert module.done == ["flags 0", ("workspace", 2**28), "FP16"]
    assert report.path.name == "own.engine"
    assert "--memPoolSize=workspace:256" in report.trtexec
    assert json.loads((model.parent / "own.engine.json").read_text())["members"] is None


def refusal(error, model, **options):
    before = sorted(model.parent.iterdir())
    with pytest.raises(error) as caught:
        build_engine(model, **options)
    assert sorted(model.parent.iterdir()) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_refused(machine, model, monkeypatch):
    machine(parses=False)
    line = refusal(ModelFileError, model)
    assert "refuses" in line
    assert "no such node" in line
    machine(shape=(-1, *SIZE, 3))
    assert "leaves a size open" in refusal(ModelFileError, model)
    machine(plan=None)
    assert "smaller workspace" in refusal(RuntimeError, model)
    assert "workspace is in bytes" in refusal(ValueError, model, workspace=512)
    assert "is that of its file" in refusal(ValueError, model, precision="int8")
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    line = refusal(ImportError, model)
    assert "JetPack" in line
    model.write_bytes(b"PNG")
    assert "no .onnx file" in refusal(ModelFileError, model)
    with pytest.raises(FileNotFoundError, match="no model file"):
        build_engine(model.parent / "none.onnx")


def test_no_gpu(monkeypatch, model):
    def none(name):
        raise OSError("libcuda.so.1: cannot open")

    monkeypatch.setitem(sys.modules, "tensorrt", stand_in())
    monkeypatch.setattr(ctypes, "CDLL", none)
    cuda._device.cache_clear()
    cuda._driver.cache_clear()
    assert "no driver of an NVIDIA GPU" in refusal(RuntimeError, model)


def test_command(machine, model, monkeypatch):
    machine("11.4.1")
    result = keras_frm("engine", model, "--workspace", "64")
    assert result.code == 0
    assert "trtexec --onnx=" in result.out
    assert "workspace:64" in result.out
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert "JetPack" in keras_frm("engine", model).line


def test_the_line_of_a_foreign_file_asks_for_half_precision(tmp_path):
    line = trtexec_line(tmp_path / "a.onnx", tmp_path / "a.engine", "10.3", None, None)
    assert line.endswith("--fp16")


# === Running ===


@pytest.fixture
def engine(machine, model):
    machine()
    return build_engine(model).path


def test_an_engine_runs(engine):
    segmenter = Segmenter(engine)
    assert (segmenter.runtime, segmenter.labels) == ("tensorrt", COLOURS)
    assert segmenter.metadata == about(precision="float16")
    image, classes = image_of()
    np.testing.assert_array_equal(segmenter(image), classes)
    assert segmenter.benchmark(1).fps > 0
    driver = cuda._driver()
    del segmenter
    assert sorted(driver.freed) == sorted(driver.arrays)


def test_an_engine_without_its_file(engine):
    (engine.parent / f"{engine.name}.json").unlink()
    segmenter = Segmenter(engine)
    assert segmenter.labels.classes[0] == "class 0"


def opening(engine, error=ModelFileError):
    with pytest.raises(error) as caught:
        Segmenter(engine)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_engine_of_another_machine(engine, machine):
    machine("10.7.0")
    assert "built by TensorRT 10.3.0, here is 10.7.0" in opening(engine)
    machine(gpu=b"Thor")
    assert "built on Orin (nvgpu), here is Thor" in opening(engine)


def test_a_damaged_engine(engine):
    beside = engine.parent / f"{engine.name}.json"
    engine.write_bytes(b"other")
    assert "was written for another engine" in opening(engine)
    beside.unlink()
    assert "refuses it on this Orin" in opening(engine)
    for text in ("{", "[]", '{"gpu": 1}', "null", '{"members": {}}'):
        beside.write_text(text)
        assert opening(engine)
    beside.write_text(" " * (2**20 + 1))
    assert "over 1 MB" in opening(engine)


def test_tensorrt_is_not_there(engine, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert "JetPack" in opening(engine, ImportError)
