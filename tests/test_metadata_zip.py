import io
import json
import struct
import subprocess
import zipfile

import pytest

from keras_frm.labels import CAMVID, CITYSCAPES, LabelSet
from keras_frm.runtime.file_metadata import FileMetadata
from keras_frm.runtime.tflite.metadata_zip import (
    attach,
    flatbuffer_size,
    is_unchanged,
    read,
)

MODEL = b"\x1c\0\0\0TFL3" + bytes(range(256)) * 8


def about(labels=CITYSCAPES, **changes):
    settings = {
        "output": "mask",
        "output_stride": 4,
        "precision": "int8",
        "input_size": (512, 1024),
        "version": "0.1.0",
        "provenance": {"source": "best.keras", "preset": "cityscapes"},
        "input_dtype": "uint8",
    }
    return FileMetadata(labels, **{**settings, **changes})


def rezipped(**members):
    """Return a model with a zip of these members instead of ours."""
    file = io.BytesIO()
    file.write(MODEL)
    with zipfile.ZipFile(file, "a") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_txt", ".txt"), content)
    return file.getvalue()


def changed_json(change):
    with zipfile.ZipFile(io.BytesIO(attach(MODEL, about()))) as archive:
        entry = json.loads(archive.read("keras_frm.json"))
        labels = archive.read("labels.txt")
    change(entry)
    return rezipped(**{"keras_frm.json": json.dumps(entry), "labels.txt": labels})


@pytest.mark.parametrize("labels", [CITYSCAPES, CAMVID], ids=lambda labels: labels.name)
@pytest.mark.parametrize("output", ["mask", "logits", "scores"])
def test_what_was_attached_is_read(labels, output):
    metadata = about(labels, output=output)
    assert read(attach(MODEL, metadata)) == metadata


@pytest.mark.parametrize("stride", [1, 2, 4, 8, 32])
def test_any_whole_output_stride(stride):
    metadata = about(output="logits", output_stride=stride)
    assert read(attach(MODEL, metadata)) == metadata


def test_names_outside_ascii_and_no_provenance():
    labels = LabelSet("own", ("Straße", "道"), ((1, 2, 3), (4, 5, 6)))
    metadata = about(labels, provenance={}, output_stride=1)
    assert read(attach(MODEL, metadata)) == metadata


def test_flatbuffer_stays_at_the_front():
    content = attach(MODEL, about())
    assert content[: len(MODEL)] == MODEL
    assert flatbuffer_size(content) == len(MODEL)
    assert flatbuffer_size(MODEL) == len(MODEL)


def test_unzip_reads_the_file(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(attach(MODEL, about()))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["keras_frm.json", "labels.txt"]
        assert archive.read("labels.txt").decode().split("\n")[13] == "car"
        entry = json.loads(archive.read("keras_frm.json"))["input"]
    assert entry == {
        "colour": "RGB",
        "range": [0, 255],
        "layout": "NHWC",
        "dtype": "uint8",
        "size": [512, 1024],
    }


def test_unzip_lists_the_file(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(attach(MODEL, about()))
    try:
        listed = subprocess.run(["unzip", "-l", path], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("unzip is not installed")
    assert "labels.txt" in listed.stdout


def test_same_metadata_gives_the_same_bytes():
    assert attach(MODEL, about()) == attach(MODEL, about())
    assert attach(MODEL, about()) != attach(MODEL, about(precision="float32"))


def test_attaching_again_replaces():
    first = attach(MODEL, about())
    second = about(CAMVID, output="scores")
    assert attach(first, second) == attach(MODEL, second)


@pytest.mark.parametrize(
    "content", [b"", b"TFL3", MODEL], ids=["empty", "short", "model"]
)
def test_no_metadata(content):
    assert read(content) is None
    assert is_unchanged(content)


def test_zip_of_somebody_else():
    assert read(rezipped(labels_txt="cat\ndog\n")) is None


def test_changed_flatbuffer():
    content = bytearray(attach(MODEL, about()))
    assert is_unchanged(bytes(content))
    content[100] ^= 1
    assert not is_unchanged(bytes(content))
    assert read(bytes(content)) == about()


def test_damaged_member():
    content = attach(MODEL, about())
    with pytest.raises(ValueError, match="metadata of the model is damaged"):
        read(content.replace(b'"output": "mask"', b'"output": "mark"'))


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.pop("labels"),
        lambda entry: entry.update(output="picture"),
        lambda entry: entry.update(output_stride=0),
        lambda entry: entry.update(output_stride=-8),
        lambda entry: entry.update(output_stride=2.5),
        lambda entry: entry.update(output_stride=True),
        lambda entry: entry.update(output_stride=2**40),
        lambda entry: entry.update(output_stride="four"),
        lambda entry: entry["labels"].update(palette=[[0, 0, 0]]),
        lambda entry: entry["labels"].update(palette=[[0, 0, 999]] * 19),
        lambda entry: entry["labels"].update(ids=[[1]]),
        lambda entry: entry["input"].update(size=[0, 4]),
        lambda entry: entry["input"].update(size=7),
        lambda entry: entry.update(provenance=3),
    ],
)
def test_wrong_entries(change):
    with pytest.raises(ValueError, match=r"^The metadata of the model is damaged"):
        read(changed_json(change))


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 100_000, '"' + "9" * 9])
def test_wrong_json(text):
    content = rezipped(**{"keras_frm.json": text, "labels.txt": "a\n"})
    for function in (read, is_unchanged):
        with pytest.raises(ValueError, match="metadata of the model is damaged"):
            function(content)


def test_sizes_are_bounded():
    many = {f"{number}.txt": "x" for number in range(16)}
    with pytest.raises(ValueError, match="17 members"):
        read(rezipped(**{"keras_frm.json": "{}"}, **many))
    with pytest.raises(ValueError, match=r"'bomb\.txt' .* over 1 MB"):
        read(rezipped(**{"keras_frm.json": "{}", "bomb.txt": "0" * (2**20 + 1)}))


def test_long_list_of_members_is_not_read():
    many = rezipped(**{f"{number}": "" for number in range(30_000)})
    with pytest.raises(ValueError, match="metadata of the model is damaged"):
        read(many)


@pytest.mark.parametrize("disks", [1, 2])
def test_zip64(disks):
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, 0, disks)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0, 0, 0, 0, 0)
    with pytest.raises(ValueError, match="metadata of the model is damaged"):
        read(MODEL + bytes(56) + locator + end)


@pytest.mark.parametrize(
    "changes",
    [
        {"output": "picture"},
        {"output_stride": 0},
        {"output_stride": 2.0},
        {"output_stride": 1025},
        {"input_size": (0, 5)},
        {"labels": LabelSet("own", ("a\nb",), ((0, 0, 0),))},
        {"labels": LabelSet("own", (), ())},
    ],
)
def test_what_cannot_be_written(changes):
    with pytest.raises(ValueError, match=r"is|are"):
        about(**changes)
