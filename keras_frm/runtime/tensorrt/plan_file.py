"""An engine and what is known of it, in a file beside it."""

import importlib
import json
from dataclasses import dataclass
from pathlib import Path

from keras_frm.runtime.file_metadata import (
    JSON,
    FileMetadata,
    from_members,
    matches,
    to_members,
)

_MOST_BYTES = 2**20


@dataclass(frozen=True)
class PlanFile:
    """What is known of an engine.

    Args:
        gpu: Name of the GPU that it was built on, and for.
        tensorrt: Version of TensorRT that built it.
        metadata: What its .onnx file says about itself; None for foreign files.
    """

    gpu: str
    tensorrt: str
    metadata: FileMetadata | None

    def text(self, engine: bytes) -> str:
        """Return the content of the file beside an engine."""
        members = self.metadata and to_members(self.metadata, engine)
        entry = {"gpu": self.gpu, "tensorrt": self.tensorrt, "members": members}
        return json.dumps(entry, indent=1)


def beside(engine: Path) -> Path:
    """Return the file that says what an engine is.

    Example:
    >>> str(beside(Path("frm.engine")))
    'frm.engine.json'
    """
    return engine.with_name(f"{engine.name}.json")


def read_beside(engine: Path, content: bytes) -> PlanFile | None:
    """Read what is known of an engine; None where there is no file beside it.

    Args:
        engine: Its path.
        content: The engine.

    Raises:
        ValueError: The file is damaged, or of another engine.
    """
    path = beside(engine)
    if not path.is_file():
        return None
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{path.name} is over 1 MB.")
    try:
        entry = json.loads(path.read_bytes())
        members = entry["members"]
        known = PlanFile(
            gpu=str(entry["gpu"]),
            tensorrt=str(entry["tensorrt"]),
            metadata=from_members(members) if members else None,
        )
        if members and not matches({JSON: members[JSON]}, content):
            raise ValueError(f"{path.name} was written for another engine.")
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path.name} is damaged ({error!r}).") from error
    return known


def tensorrt():
    """Return TensorRT's module.

    Raises:
        ImportError: It is not installed; the message says how to get it.
    """
    try:
        return importlib.import_module("tensorrt")
    except ImportError as error:
        raise ImportError(
            "TensorRT is not installed. On a Jetson it comes with JetPack (sudo apt "
            "install nvidia-jetpack), for the system's Python: 3.10 of JetPack 6, 3.12 "
            "of JetPack 7; make virtual environments with --system-site-packages. "
            "Elsewhere run: pip install tensorrt"
        ) from error
