"""An exported int8 file of masks, made to give what it takes the argmax of.

The shipped files give masks. Their last operations are ARG_MAX and CAST to uint8: here
CAST takes ARG_MAX's input and gives int32, which JavaScript can read. Nothing before
them is touched, so the logits are those of the file itself.
"""

import struct

from keras_frm.runtime.tflite.flatbuffer import Table
from keras_frm.runtime.tflite.metadata_zip import flatbuffer_size

INT32 = 2  # of TensorType in LiteRT's schema


def logits_of_mask_file(content: bytes) -> bytes:
    """Return the flatbuffer with its logits, (1, H, W, C) int32, for its mask.

    Args:
        content: A .tflite file that ends in ARG_MAX and CAST.

    Returns:
        A .tflite file without metadata.
    """
    flatbuffer = bytearray(content[: flatbuffer_size(content)])
    (graph,) = Table.root(bytes(flatbuffer), b"TFL3").tables(2)
    tensors, operators = graph.tables(0), graph.tables(3)
    arg_max, cast = operators[-2:]
    assert cast.vector(1, "<i4").tolist() == arg_max.vector(2, "<i4").tolist()
    logits = int(arg_max.vector(1, "<i4")[0])
    output = tensors[int(cast.vector(2, "<i4")[0])]
    shape = tensors[logits].vector(0, "<i4")  # (1, H, W, C)

    struct.pack_into("<i", flatbuffer, start_of_vector(flatbuffer, cast, 1), logits)
    struct.pack_into("<b", flatbuffer, output.place(1), INT32)
    flatbuffer += bytes(-len(flatbuffer) % 4)
    # The mask's own shape has three sides and no room for a fourth.
    struct.pack_into(
        "<I", flatbuffer, output.place(0), len(flatbuffer) - output.place(0)
    )
    flatbuffer += struct.pack("<I", len(shape)) + shape.tobytes()
    return bytes(flatbuffer)


def start_of_vector(flatbuffer, table, field) -> int:
    """Return where the first element of a vector lies."""
    place = table.place(field)
    return place + struct.unpack_from("<I", flatbuffer, place)[0] + 4
