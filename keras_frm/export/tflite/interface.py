"""The names by which an app finds what a .tflite file takes and gives."""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from keras_frm.export.tflite.model_metadata import INPUT, model_metadata
from keras_frm.runtime.file_metadata import FileMetadata

_SIGNATURE = "serving_default"  # TensorFlow's name where a model has one signature
_METADATA = "TFLITE_METADATA"


def with_interface(content: bytes, about: FileMetadata) -> bytes:
    """Name the input, the output and the signature of a file, and describe them.

    The converter writes signatures of saved models only, whose weights would be
    variables.

    Args:
        content: A flatbuffer with one input and one output, as the converter made it.
        about: What there is to say.

    Returns:
        The flatbuffer with the input "image", an output by the name of its kind, the
        signature "serving_default" of both, and TFLite Metadata.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    (graph,) = model.subgraphs
    (image,), (result,) = graph.inputs, graph.outputs
    graph.tensors[image].name, graph.tensors[result].name = INPUT, about.output
    model.signatureDefs = [_signature(image, result, about.output)]
    _add_metadata(model, model_metadata(about))
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _signature(image: int, result: int, output: str) -> schema.SignatureDefT:
    signature = schema.SignatureDefT()
    signature.signatureKey = _SIGNATURE
    signature.inputs = [_named(INPUT, image)]
    signature.outputs = [_named(output, result)]
    return signature


def _named(name: str, tensor: int) -> schema.TensorMapT:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name, int(tensor)
    return entry


def _add_metadata(model: schema.ModelT, content: bytes) -> None:
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(content, np.uint8)
    entry.name, entry.buffer = _METADATA, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata.append(entry)
