"""TFLite Metadata: what MediaPipe Tasks and Android's tools read of a model file.

Numbers of fields and enums: mediapipe/tasks/metadata/metadata_schema.fbs and
image_segmenter_metadata_schema.fbs. What has classes for them does not fit in here:
tflite-support is not maintained, mediapipe brings an OpenCV of its own.
"""

from collections.abc import Mapping, Sequence

import flatbuffers

from keras_frm.runtime.file_metadata import LABELS_FILE, FileMetadata

INPUT = "image"

_IMAGE_PROPERTIES, _NORMALIZATION_OPTIONS = 2, 1  # members of unions
_RGB = 1
_AXIS_LABELS, _VALUE_LABELS = 2, 3
_NO_ACTIVATION, _SOFTMAX = 0, 2


def model_metadata(about: FileMetadata) -> bytes:
    """Return the content of a .tflite file's metadata "TFLITE_METADATA".

    It says that images go in as they are, RGB in [0, 255], and names the member of the
    zip behind the flatbuffer that holds the names of the classes. Of logits and scores
    it says how confidences are made of them. The input of a mask file is not described:
    segmenters that read this take class ids for scores, and without it they refuse the
    file.

    Args:
        about: What there is to say.

    Returns:
        A flatbuffer `ModelMetadata`.

    Example:
    >>> from keras_frm.labels import CAMVID
    >>> about = FileMetadata(CAMVID, "logits", 4, "int8", (360, 480), "0.1.0")
    >>> model_metadata(about)[4:8]
    b'M001'
    """
    builder = flatbuffers.Builder()
    if about.output == "mask":
        subgraph = {3: _tables(builder, [_output(builder, "mask", _VALUE_LABELS)])}
    else:
        activation = _SOFTMAX if about.output == "logits" else _NO_ACTIVATION
        subgraph = {
            2: _tables(builder, [_input(builder)]),
            3: _tables(builder, [_output(builder, about.output, _AXIS_LABELS)]),
            9: _tables(builder, [_segmenter_options(builder, activation)]),
        }
    model = {
        0: builder.CreateString("Semantic segmentation"),
        2: builder.CreateString(about.version),
        3: _tables(builder, [_table(builder, subgraph)]),
    }
    builder.Finish(_table(builder, model), b"M001")
    return bytes(builder.Output())


def _input(builder: flatbuffers.Builder) -> int:
    properties = _table(builder, {}, {0: _RGB})
    content = _table(builder, {1: properties}, {0: _IMAGE_PROPERTIES})
    mean, deviation = _numbers(builder, 0.0), _numbers(builder, 1.0)
    options = _table(builder, {0: mean, 1: deviation})
    unit = _table(builder, {1: options}, {0: _NORMALIZATION_OPTIONS})
    largest, smallest = _numbers(builder, 255.0), _numbers(builder, 0.0)
    fields = {
        0: builder.CreateString(INPUT),
        3: content,
        4: _tables(builder, [unit]),
        5: _table(builder, {0: largest, 1: smallest}),
    }
    return _table(builder, fields)


def _output(builder: flatbuffers.Builder, name: str, labels: int) -> int:
    """Return a description of the output; `labels` is what the names are names of."""
    file = _table(builder, {0: builder.CreateString(LABELS_FILE)}, {2: labels})
    fields = {0: builder.CreateString(name), 6: _tables(builder, [file])}
    return _table(builder, fields)


def _segmenter_options(builder: flatbuffers.Builder, activation: int) -> int:
    """Return what MediaPipe's ImageSegmenter applies before it shows confidences."""
    inner = flatbuffers.Builder()
    inner.Finish(_table(inner, {}, {0: activation}), b"V001")
    name = builder.CreateString("SEGMENTER_METADATA")
    return _table(builder, {0: name, 1: _nested(builder, bytes(inner.Output()))})


def _table(
    builder: flatbuffers.Builder,
    children: Mapping[int, int],
    enums: Mapping[int, int] | None = None,
) -> int:
    """Return a table of fields: children that are there already, enums of a byte."""
    enums = enums or {}
    builder.StartObject(1 + max((*children, *enums)))
    for field, child in children.items():
        builder.PrependUOffsetTRelativeSlot(field, child, 0)
    for field, value in enums.items():
        builder.PrependUint8Slot(field, value, 0)
    return builder.EndObject()


def _tables(builder: flatbuffers.Builder, tables: Sequence[int]) -> int:
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return builder.EndVector()


def _numbers(builder: flatbuffers.Builder, *values: float) -> int:
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return builder.EndVector()


def _nested(builder: flatbuffers.Builder, content: bytes) -> int:
    builder.StartVector(1, len(content), 16)
    for byte in reversed(content):
        builder.PrependByte(byte)
    return builder.EndVector()
