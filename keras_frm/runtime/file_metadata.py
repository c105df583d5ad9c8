"""What a model file says about itself: a zip behind the .tflite flatbuffer."""

import hashlib
import io
import json
import struct
import zipfile
from dataclasses import dataclass, field

from keras_frm.labels import LabelSet

OUTPUTS = ("mask", "logits", "scores")

LABELS_FILE = "labels.txt"  # one name a line
_JSON = "keras_frm.json"
_MAX_MEMBERS, _MAX_MEMBER_BYTES = 16, 2**20
_ZIP_END = 22  # bytes of its last record
_MAX_CLASSES = 255  # masks are uint8 and 255 is "ignore"
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # a fixed time: equal metadata gives equal bytes


@dataclass(frozen=True)
class FileMetadata:
    """What a device needs to know about an exported network.

    Args:
        labels: Class names and colours.
        output: "mask" (class ids), "logits" or "scores" (probabilities).
        output_stride: Input size divided by output size: 1, or the network's own.
        precision: Precision of the weights and activations, such as "int8".
        input_size: Height and width of the input, in pixels.
        version: Version of the package that wrote the file.
        provenance: Where the file comes from: source file, date, preset, and so on.
        input_dtype: What images in [0, 255] are handed over as: "float32", "uint8" or
            "int8" (shifted by the tensor's zero point).
    """

    labels: LabelSet
    output: str
    output_stride: int
    precision: str
    input_size: tuple[int, int]
    version: str
    provenance: dict[str, str] = field(default_factory=dict)
    input_dtype: str = "float32"

    def __post_init__(self):
        if self.output not in OUTPUTS:
            raise ValueError(f"output is '{self.output}', not one of {OUTPUTS}.")
        if len(self.input_size) != 2 or min(self.input_size) < 1:
            raise ValueError(f"input_size is {self.input_size}, not (height, width).")
        stride, largest = self.output_stride, max(self.input_size)
        if type(stride) is not int or not 1 <= stride <= largest:
            raise ValueError(
                f"output_stride is {stride!r}, not a whole number from 1 to {largest}."
            )
        if not 1 <= self.labels.num_classes <= _MAX_CLASSES:
            raise ValueError(f"{self.labels.num_classes} classes are not 1 to 255.")
        for name in self.labels.classes:
            if not name or not name.isprintable():
                raise ValueError(f"Class name {name!r} is empty or not printable.")


def attach(model: bytes, metadata: FileMetadata) -> bytes:
    """Put metadata behind a flatbuffer, in place of a zip that is there already.

    The flatbuffer stays as it is, at the front; `unzip` reads the rest.

    Args:
        model: Content of a .tflite file.
        metadata: What to say about it.

    Returns:
        The content of the new file; the same bytes for the same arguments.

    Example:
    >>> from keras_frm.labels import CAMVID
    >>> about = FileMetadata(CAMVID, "mask", 1, "int8", (360, 480), "0.1.0")
    >>> content = attach(b"flatbuffer", about)
    >>> content[:10], read(content) == about
    (b'flatbuffer', True)
    """
    model = model[: flatbuffer_size(model)]
    labels = metadata.labels
    entry = {
        # The names of the classes stand in a file of their own.
        "labels": {k: v for k, v in labels.get_config().items() if k != "classes"},
        "input": {
            "colour": "RGB",
            "range": [0, 255],
            "layout": "NHWC",
            "dtype": metadata.input_dtype,
            "size": metadata.input_size,
        },
        "output": metadata.output,
        "output_stride": metadata.output_stride,
        "precision": metadata.precision,
        "version": metadata.version,
        "provenance": metadata.provenance,
        "sha256": hashlib.sha256(model).hexdigest(),
    }
    members = {
        _JSON: json.dumps(entry, indent=1, sort_keys=True),
        LABELS_FILE: "".join(f"{name}\n" for name in labels.classes),
    }
    file = io.BytesIO()
    file.write(model)
    with zipfile.ZipFile(file, "a") as archive:
        for name, text in members.items():
            info = zipfile.ZipInfo(name, _LONG_AGO)
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, text.encode())
    return file.getvalue()


def read(content: bytes) -> FileMetadata | None:
    """Read the metadata of a model file.

    Args:
        content: The file.

    Returns:
        The metadata; None where there is no zip, or one that is not of this package.

    Raises:
        ValueError: The metadata is damaged.
    """
    members = _members(content)
    if members is None:
        return None
    try:
        entry = json.loads(members[_JSON])
        labels, names = entry["labels"], members[LABELS_FILE].decode().splitlines()
        return FileMetadata(
            labels=LabelSet.from_config({**labels, "classes": names}),
            output=str(entry["output"]),
            output_stride=entry["output_stride"],
            precision=str(entry["precision"]),
            input_size=tuple(int(side) for side in entry["input"]["size"]),
            version=str(entry["version"]),
            provenance={k: str(v) for k, v in dict(entry["provenance"]).items()},
            input_dtype=str(entry["input"]["dtype"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise ValueError(f"The metadata of the model is damaged ({error!r}).") from None


def is_unchanged(content: bytes) -> bool:
    """Tell whether the flatbuffer is the one that its metadata was written for.

    Args:
        content: A model file.

    Returns:
        False if the checksum in the metadata differs; True without metadata.

    Raises:
        ValueError: The metadata is damaged.
    """
    members = _members(content)
    if members is None:
        return True
    try:
        expected = json.loads(members[_JSON])["sha256"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"The metadata of the model is damaged ({error!r}).") from None
    flatbuffer = memoryview(content)[: flatbuffer_size(content)]
    return hashlib.sha256(flatbuffer).hexdigest() == expected


def flatbuffer_size(content: bytes) -> int:
    """Return the size in bytes of what stands before the zip, if there is one."""
    archive = _archive(content)
    starts = [info.header_offset for info in archive.infolist()] if archive else []
    return min(starts, default=len(content))


def _archive(content: bytes) -> zipfile.ZipFile | None:
    """Open the zip at the end of a file; None where there is none."""
    end = _zip_end(content)
    if end < 0:
        return None
    (listed,) = struct.unpack_from("<I", content, end + 12)  # bytes; all are read
    is_zip64 = content[max(0, end - 20) :].startswith(b"PK\6\7")
    if listed > _MAX_MEMBER_BYTES or is_zip64:
        raise ValueError(
            "The metadata of the model is damaged (its list is over 1 MB)."
        )
    try:
        return zipfile.ZipFile(io.BytesIO(content))
    except Exception as error:  # BadZipFile, struct.error, and others
        raise ValueError(f"The metadata of the model is damaged ({error}).") from None


def _zip_end(content: bytes) -> int:
    """Return where the last record of a zip begins, -1 where there is none."""
    last = len(content) - _ZIP_END
    if content[last:].startswith(b"PK\5\6") and content.endswith(b"\0\0"):
        return last
    found = content.rfind(b"PK\5\6", max(0, last - 2**16))  # a comment follows
    return found if found <= last else -1


def _members(content: bytes) -> dict[str, bytes] | None:
    """Return the members of our zip; None where there is none."""
    archive = _archive(content)
    if archive is None or _JSON not in archive.namelist():
        return None
    infos = archive.infolist()
    if len(infos) > _MAX_MEMBERS:
        raise ValueError(f"The metadata of the model has {len(infos)} members.")
    largest = max(infos, key=lambda info: info.file_size)
    if largest.file_size > _MAX_MEMBER_BYTES:
        raise ValueError(f"'{largest.filename}' in the model's metadata is over 1 MB.")
    try:
        # A member that lies about its size is cut there, and fails its checksum.
        return {info.filename: archive.read(info) for info in infos}
    except Exception as error:  # zlib.error, RuntimeError (encrypted), and others
        raise ValueError(f"The metadata of the model is damaged ({error}).") from None
