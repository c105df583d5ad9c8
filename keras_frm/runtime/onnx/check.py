"""Read an .onnx file's metadata, and refuse what no runtime should see.

A graph is left to its runtime, in a process of its own. What is looked at before are
the checksum, and weights that lie in other files: the runtime would open whatever path
the file names.
"""

from keras_frm.runtime.errors import ModelFileError
from keras_frm.runtime.file_metadata import JSON, FileMetadata, from_members, matches
from keras_frm.runtime.onnx.protobuf import Field, fields

_GRAPH, _METADATA, _FUNCTION = 7, 14, 25  # fields of a model
_EXTERNAL_DATA = 13  # a field of a tensor
# Message -> field -> message that it holds, down to the tensors.
_INSIDE = {
    "model": {_GRAPH: "graph", _FUNCTION: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse tensor",
        23: "sparse tensor",
    },
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_DEEPEST = 32
_MOST_METADATA, _MOST_METADATA_BYTES = 64, 2**20


def check_onnx(content: bytes) -> FileMetadata | None:
    """Check a file without running any of it.

    Args:
        content: The file.

    Returns:
        What it says about itself; None for foreign files.

    Raises:
        ModelFileError: It is damaged, was changed after the export, is no .onnx file,
            or has weights in other files.

    Example:
    >>> check_onnx(b"PNG")
    Traceback (most recent call last):
    keras_frm.runtime.errors.ModelFileError: it is no .onnx file
    """
    view = memoryview(content)
    try:
        top = list(fields(view))
    except ValueError:
        top = []
    if _GRAPH not in {field.number for field in top}:
        raise ModelFileError("it is no .onnx file")
    try:
        _check_tensors(view, "model", 0)
        members = _members(field for field in top if field.number == _METADATA)
        if JSON not in members:
            return None
        model = b"".join(
            view[field.start : field.end] for field in top if field.number != _METADATA
        )
        if not matches(members, model):
            raise ModelFileError("it was changed after export; copy or export it again")
        return from_members(members)
    except ModelFileError:
        raise
    except ValueError as error:
        raise ModelFileError(f"it is damaged: {error}") from error


def _check_tensors(message: memoryview, kind: str, depth: int) -> None:
    """Refuse a message with a tensor in it whose numbers lie in another file."""
    if depth > _DEEPEST:
        raise ValueError("graphs are nested too deep")
    for field in fields(message):
        inside = _INSIDE[kind].get(field.number)
        if inside is None:
            if kind == "tensor" and field.number == _EXTERNAL_DATA:
                raise ModelFileError(
                    "its weights lie in another file; save it as one file"
                )
        else:
            _check_tensors(_content(field), inside, depth + 1)


def _members(entries) -> dict[str, bytes]:
    """Return the texts of metadata by their names."""
    members = {}
    for entry in entries:
        text = _content(entry)
        if len(text) > _MOST_METADATA_BYTES or len(members) >= _MOST_METADATA:
            raise ValueError("its metadata is too large")
        pair = {field.number: bytes(_content(field)) for field in fields(text)}
        members[pair.get(1, b"").decode(errors="replace")] = pair.get(2, b"")
    return members


def _content(field: Field) -> memoryview:
    if isinstance(field.value, int):
        raise ValueError(f"field {field.number} is a number")
    return field.value
