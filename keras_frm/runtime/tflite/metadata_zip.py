"""Metadata of a .tflite file: a zip behind the flatbuffer."""

import io
import struct
import zipfile

from keras_frm.runtime.file_metadata import (
    JSON,
    FileMetadata,
    from_members,
    matches,
    to_members,
)

_MAX_MEMBERS, _MAX_MEMBER_BYTES = 16, 2**20
_ZIP_END = 22  # bytes of its last record
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # a fixed time: equal metadata gives equal bytes


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
    file = io.BytesIO()
    file.write(model)
    with zipfile.ZipFile(file, "a") as archive:
        for name, text in to_members(metadata, model).items():
            info = zipfile.ZipInfo(name, _LONG_AGO)
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, text.encode())
    return file.getvalue()


def read(content: bytes) -> FileMetadata | None:
    """Read the metadata of a .tflite file.

    Args:
        content: The file.

    Returns:
        The metadata; None where there is no zip, or one that is not of this package.

    Raises:
        ValueError: The metadata is damaged.
    """
    members = _members(content)
    return None if members is None else from_members(members)


def is_unchanged(content: bytes) -> bool:
    """Tell whether the flatbuffer is the one that its metadata was written for.

    Args:
        content: A .tflite file.

    Returns:
        False if the checksum in the metadata differs; True without metadata.

    Raises:
        ValueError: The metadata is damaged.
    """
    members = _members(content)
    if members is None:
        return True
    return matches(members, memoryview(content)[: flatbuffer_size(content)])


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
    if archive is None or JSON not in archive.namelist():
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
