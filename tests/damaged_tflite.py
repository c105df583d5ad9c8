"""Damages of .tflite files, by what they are made of; see damaged_bytes.py."""

import io
import struct
import zipfile

import damaged_bytes
import numpy as np

from keras_frm.runtime.tflite import metadata_zip
from keras_frm.runtime.tflite.flatbuffer import Table


def swap_operator(content, random, whole):
    """Another operator, as its number in the schema or as one that is there already."""
    codes, _, _, operators = _tables(content)
    if random.random() < 0.5:
        table, number = codes[random.integers(len(codes))], int(random.integers(210))
        for field, code in ((0, "b"), (3, "i")):
            if table.has(field):
                stored = min(number, 127) if code == "b" else number
                content = _write(content, table.place(field), code, stored)
        return content
    table = operators[random.integers(len(operators))]
    if not table.has(0):
        return swap_operator(content, random, whole)
    return _write(content, table.place(0), "I", int(random.integers(len(codes))))


def absurd_shape(content, random, whole):
    tensors = [table for table in _tables(content)[2] if len(table.vector(0, "<i4"))]
    place = _element(tensors[random.integers(len(tensors))], 0, random)
    sides = (0, -1, 1, 2, 3, 7, 64, 2**10, 2**15, 2**20, 2**27, 2**31 - 1)
    return _write(content, place, "i", int(random.choice(sides)))


def rewire(content, random, whole):
    """Let an operator take or make another tensor, so that graphs become circles."""
    _, _, tensors, operators = _tables(content)
    table = operators[random.integers(len(operators))]
    place = _element(table, 1 if random.random() < 0.7 else 2, random)
    return _write(content, place, "i", int(random.integers(-1, len(tensors))))


def share_buffer(content, random, whole):
    """Let two tensors or buffers lie in one place, wholly or in part."""
    _, buffers, tensors, _ = _tables(content)
    if random.random() < 0.5:
        table = tensors[random.integers(len(tensors))]
        if not table.has(2):
            return share_buffer(content, random, whole)
        return _write(content, table.place(2), "I", int(random.integers(len(buffers))))
    filled = [table for table in buffers if table.has(0)]
    table, other = (filled[random.integers(len(filled))] for _ in range(2))
    target = other._target(0) + 4 * int(random.integers(-2, 3))
    offset = max(0, target - table.place(0))
    return _write(content, table.place(0), "I", offset)


def change_type(content, random, whole):
    tables = [table for table in _tables(content)[2] if table.has(1)]
    place = tables[random.integers(len(tables))].place(1)
    return _write(content, place, "b", int(random.integers(22)))


def change_options(content, random, whole):
    """Strides, axes, activations and the like, or the kind of options."""
    operators = [table for table in _tables(content)[3] if table.has(4)]
    table = operators[random.integers(len(operators))]
    if random.random() < 0.2:
        return _write(content, table.place(3), "B", int(random.integers(130)))
    options = table.table(4)
    fields = [field for field in range(len(options._fields)) if options.has(field)]
    if not fields:
        return change_options(content, random, whole)
    place = options.place(fields[random.integers(len(fields))])
    return _write(content, place, "b", int(random.integers(-2, 9)))


def change_scale(content, random, whole):
    tensors = _tables(content)[2]
    scaled = [
        t.table(4) for t in tensors if t.has(4) and len(t.table(4).vector(2, "<f4"))
    ]
    if not scaled:
        return change_type(content, random, whole)
    place = _element(scaled[random.integers(len(scaled))], 2, random)
    scales = (0, -1, 1e-38, 1e-20, 1e-6, 1, 300, 1e10, 1e30, np.inf, np.nan)
    return _write(content, place, "f", float(random.choice(scales)))


def change_sizes(content, random, whole):
    """Change a constant of integers: sizes, axes, paddings, or packed weights."""
    _, buffers, tensors, _ = _tables(content)
    indices = {table.scalar(2, "I") for table in tensors if table.scalar(1, "b") == 2}
    filled = [
        buffers[i] for i in sorted(indices) if len(buffers[i].vector(0, "u1")) > 3
    ]
    place = _element(filled[random.integers(len(filled))], 0, random)
    return _write(content, place, "i", int(random.choice((-1, 0, 1, 2, 5, 99, 2**30))))


def huge_metadata(content, random, whole):
    """A zip of many or large members, or of JSON without an end."""
    file = io.BytesIO()
    file.write(content)
    kind = random.integers(4)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        nested = ("[" * 10**6, '{"sha256":' * 10**5, "9" * 10**6, "0" * 10**8)
        archive.writestr("keras_frm.json", nested[kind])
        archive.writestr("labels.txt", "a\n" * (10**5 if kind else 1))
        for number in range(30_000 if kind == 1 else 3):
            archive.writestr(f"{number}", b"")
    return file.getvalue()


DAMAGES = (
    *damaged_bytes.DAMAGES,
    swap_operator,
    absurd_shape,
    rewire,
    share_buffer,
    change_type,
    change_options,
    change_scale,
    change_sizes,
    huge_metadata,
)


def signed(damage, content, random, whole):
    """Damage a model and sign its metadata anew, as an attacker would."""
    about = metadata_zip.read(content)
    if about is None or random.random() < 0.2:
        return damage(content, random, whole)
    model = content[: metadata_zip.flatbuffer_size(content)]
    damaged = damage(model, random, whole)
    if damage is huge_metadata:
        return damaged
    try:
        return metadata_zip.attach(damaged, about)
    except ValueError:  # its end looks like a zip
        return damaged


def _tables(content):
    """Return the parts of a good file: codes, buffers, tensors and operators."""
    model = Table.root(content, b"TFL3")
    (graph,) = model.tables(2)
    return model.tables(1), model.tables(4), graph.tables(0), graph.tables(3)


def _write(content, place, code, number):
    damaged = bytearray(content)
    struct.pack_into(f"<{code}", damaged, place, number)
    return bytes(damaged)


def _element(table, field, random, size=4) -> int:
    """Choose where a number of a vector stands; the vector's length if it is empty."""
    length = len(table.vector(field, f"<i{size}"))
    return (
        table._target(field)
        + 4
        + (size * int(random.integers(length)) if length else -4)
    )
