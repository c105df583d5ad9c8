"""`build_engine`: from an .onnx file to an engine of this machine's GPU."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from keras_frm.files import write_bytes
from keras_frm.runtime.errors import ModelFileError
from keras_frm.runtime.onnx.check import check_onnx
from keras_frm.runtime.tensorrt.cuda import device_name
from keras_frm.runtime.tensorrt.plan_file import PlanFile, beside, tensorrt

_STRONG_SINCE = (10, 12)  # before it, not all operations could be typed by the file
_STRONG_ONLY_SINCE = (11, 0)
_MEBIBYTE = 2**20


@dataclass(frozen=True)
class EngineReport:
    """An engine that was built.

    Args:
        path: The file.
        size: Its size in bytes.
        gpu: The GPU that it is for.
        tensorrt: The version of TensorRT that it is for.
        trtexec: The command of NVIDIA's tool that builds the same.
    """

    path: Path
    size: int
    gpu: str
    tensorrt: str
    trtexec: str

    def __str__(self):
        return (
            f"{self.path}: {self.size / 1e6:.1f} MB, for {self.gpu} with TensorRT "
            f"{self.tensorrt} only\nthe same by NVIDIA's tool: {self.trtexec}"
        )


def build_engine(
    path: str | os.PathLike,
    out: str | os.PathLike | None = None,
    *,
    precision: str | None = None,
    workspace: int | None = None,
) -> EngineReport:
    """Build a TensorRT engine of an .onnx file, for the GPU of this machine.

    The precision is what the file says: TensorRT 11 knows nothing else. A file in
    float32 is refused, unless it is wanted: its engine would be slow.

    Nothing of this was run on a GPU by its authors; see docs/devices.

    Args:
        path: The file, such as `export_onnx(..., precision="float16")` writes it.
        out: The engine, ending in .engine, or a folder for one that is named by file,
            GPU and version; None is the folder of `path`. What is known of the engine
            goes into a file beside it.
        precision: "float32" to build an engine in float32.
        workspace: Most bytes that a layer may take for its work; None leaves it to
            TensorRT, which takes what the GPU has.

    Returns:
        What was built; printing it shows a report.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: TensorRT is not installed.
        ModelFileError: The file is damaged, or TensorRT refuses it.
        RuntimeError: There is no GPU, or TensorRT gave up.
        ValueError: An argument is wrong.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no model file '{path}'.")
    if workspace is not None and workspace < _MEBIBYTE:
        raise ValueError(f"workspace is in bytes, 2^20 at least, not {workspace}.")
    content = path.read_bytes()
    try:
        about = check_onnx(content)
    except ModelFileError as error:
        raise ModelFileError(f"Cannot use model '{path}': {error}") from error
    _check_precision(path, about, precision)
    trt = tensorrt()
    gpu, version = device_name(), trt.__version__
    out = _engine_path(path, out, gpu, version)

    engine = _built(trt, path, content, about, workspace)
    known = PlanFile(gpu, version, about)
    write_bytes(beside(out), known.text(engine).encode())
    write_bytes(out, engine)
    return EngineReport(
        path=out,
        size=len(engine),
        gpu=gpu,
        tensorrt=version,
        trtexec=trtexec_line(path, out, version, about, workspace),
    )


def _built(trt, path, content, about, workspace) -> bytes:
    """Return the engine of a file."""
    builder = trt.Builder(logger := trt.Logger(trt.Logger.WARNING))
    strong = _is_strong(trt.__version__)
    flags = 0
    if strong and not _is_strong_only(trt.__version__):
        flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(content):
        reasons = [parser.get_error(i).desc() for i in range(parser.num_errors)]
        reason = " ".join(" ".join(reasons).split()) or "it gives no reason"
        raise ModelFileError(f"TensorRT refuses '{path}': {reason}")
    if any(side < 1 for side in network.get_input(0).shape):
        raise ModelFileError(
            f"'{path}' leaves a size open; export it with batch=1 and one input size."
        )
    config = builder.create_builder_config()
    if workspace is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace)
    if not strong:
        for name in _weak_flags(about):
            config.set_flag(getattr(trt.BuilderFlag, name))
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise RuntimeError(
            f"TensorRT built no engine of '{path}'; what it said is above. Where "
            "memory ran out, close other programs or give a smaller workspace."
        )
    return bytes(plan)


def trtexec_line(path: Path, out: Path, version: str, about, workspace) -> str:
    """Return the command of NVIDIA's tool that builds the same engine.

    Args:
        path: The .onnx file.
        out: The engine.
        version: Version of TensorRT.
        about: What the file says about itself, or None.
        workspace: In bytes, or None.

    Example:
    >>> trtexec_line(Path("a.onnx"), Path("a.engine"), "10.13.3", None, None)
    'trtexec --onnx=a.onnx --saveEngine=a.engine --stronglyTyped'
    """
    words = ["trtexec", f"--onnx={path}", f"--saveEngine={out}"]
    if not _is_strong(version):
        words += [f"--{name.lower()}" for name in _weak_flags(about)]
    elif not _is_strong_only(version):
        words.append("--stronglyTyped")
    if workspace is not None:
        words.append(f"--memPoolSize=workspace:{workspace // _MEBIBYTE}")
    return " ".join(words)


def _check_precision(path, about, wanted) -> None:
    if wanted not in (None, "float32"):
        raise ValueError(
            f"The precision of an engine is that of its file; precision={wanted!r} is "
            "none. Export the file in it, or pass 'float32' to allow that."
        )
    if about is not None and about.precision == "float32" and wanted is None:
        raise ValueError(
            f"'{path}' computes in float32, and so would its engine. Export it with "
            "precision='float16', or pass precision='float32' here."
        )


def _weak_flags(about) -> list[str]:
    """Return what allows a version without full typing the types of a file."""
    if about is None:
        return ["FP16"]
    return {"float32": [], "int8": ["FP16", "INT8"]}.get(about.precision, ["FP16"])


def _engine_path(path, out, gpu, version) -> Path:
    """Return where an engine goes."""
    out = path.parent if out is None else Path(out)
    if out.suffix == ".engine":
        return out
    gpu = re.sub(r"[^A-Za-z0-9]+", "-", gpu).strip("-").lower()
    release = ".".join(version.split(".")[:2])
    return out / f"{path.stem}.{gpu}.trt{release}.engine"


def _is_strong(version: str) -> bool:
    """Return whether a version takes all types from the file."""
    return _release(version) >= _STRONG_SINCE


def _is_strong_only(version: str) -> bool:
    return _release(version) >= _STRONG_ONLY_SINCE


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
