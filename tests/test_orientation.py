"""EXIF orientation: images alone are turned upright, those of pairs are as stored."""

import io
import struct

import numpy as np
import pytest
from data_files import write_mask
from PIL import Image, ImageOps

from keras_frm.data.reading import SizeMismatchError, read_pair
from keras_frm.data.representative import folder_images
from keras_frm.files import DataError
from keras_frm.images.orientation import orientation, turned, turns_sides
from keras_frm.images.reading import image_size, read_image
from keras_frm.labels import CAMVID

KINDS = {
    "JPEG": {"quality": 100, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True},
}


def corners():
    """An image of 16x24 whose four corners differ, so that no two turns are equal."""
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:8, :8], pixels[:8, 16:] = (255, 0, 0), (0, 255, 0)
    pixels[8:, :8], pixels[8:, 16:] = (0, 0, 255), (255, 255, 255)
    return pixels


def encoded(kind="JPEG", tag=None, pixels=None, **options):
    file, exif = io.BytesIO(), Image.Exif()
    if tag is not None:
        exif[0x0112] = tag
    pixels = corners() if pixels is None else pixels
    options = {**KINDS.get(kind, {}), **options}
    Image.fromarray(pixels).save(file, kind, exif=exif, **options)
    return file.getvalue()


def write(folder, data, name="a.jpg"):
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("kind", KINDS)
def test_all_orientations_are_as_viewers_show_them(tmp_path, kind, tag):
    data = encoded(kind, tag)
    path = write(tmp_path, data)
    shown = ImageOps.exif_transpose(Image.open(io.BytesIO(data)).convert("RGB"))
    assert orientation(data) == tag
    assert turns_sides(tag) == (shown.size != (24, 16))
    upright = read_image(path, upright=True)
    assert upright.flags["C_CONTIGUOUS"]
    assert upright.shape == np.asarray(shown).shape
    # JPEG alone is not exact, and Pillow's decoder is another than OpenCV's.
    assert abs(upright.astype(int) - np.asarray(shown)).max() <= 3
    stored = read_image(path)
    assert image_size(path) == stored.shape[:2] == (16, 24)
    assert abs(stored.astype(int) - corners()).max() <= 3


def test_the_eight_turns_differ():
    turns = {turned(corners(), tag).tobytes() for tag in range(1, 9)}
    assert len(turns) == 8


@pytest.mark.parametrize("tag", [None, 0, 9, 255])
@pytest.mark.parametrize("kind", KINDS)
def test_no_tag_and_none_that_exif_knows(tmp_path, kind, tag):
    data = encoded(kind, tag)
    path = write(tmp_path, data)
    assert orientation(data) == 1
    np.testing.assert_array_equal(read_image(path, upright=True), read_image(path))


def exif_block(order, field_type, value, count=1):
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    code = {1: "B3x", 3: "H2x", 4: "I"}.get(field_type, "I")
    entry = struct.pack(order + "HHI" + code, 0x0112, field_type, count, value)
    other = struct.pack(order + "HHII", 0x0100, 4, 1, 6)
    return mark + struct.pack(order + "IH", 8, 2) + other + entry + bytes(4)


def with_exif(block):
    data = encoded()
    block = b"Exif\0\0" + block
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("field_type", [1, 3, 4])
def test_both_byte_orders_and_the_types_that_cameras_write(order, field_type):
    assert orientation(with_exif(exif_block(order, field_type, 8))) == 8


def test_a_tag_of_another_type_is_none():
    assert orientation(with_exif(exif_block("<", 5, 8))) == 1


def test_damaged_exif_harms_nothing(tmp_path):
    data = encoded(tag=6)
    at = data.index(b"Exif")
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(data)
        for place in rng.integers(at, at + 40, 3):
            damaged[place] = rng.integers(0, 256)
        assert orientation(bytes(damaged)) in range(1, 9)
    for cut in range(len(data)):
        assert orientation(data[:cut]) in (1, 6)
    many = with_exif(b"II*\0\x08\0\0\0\xff\xff")
    assert orientation(many) == 1
    assert read_image(write(tmp_path, many), upright=True).shape == (16, 24, 3)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_damaged_chunks_harm_nothing(kind):
    data = encoded(kind, tag=6)
    for cut in range(len(data)):
        assert orientation(data[:cut]) in (1, 6)
    assert orientation(data[:12] + b"\0" * 200) == 1
    assert orientation(data[:12] + b"\xff" * 200) == 1


def test_a_thumbnails_orientation_is_not_the_images():
    thumbnail = encoded(tag=3, pixels=corners()[:8, :8])
    exif = Image.Exif()
    exif[0x010E] = thumbnail
    file = io.BytesIO()
    Image.fromarray(corners()).save(file, "JPEG", exif=exif)
    assert b"Exif" in file.getvalue()[20:]
    assert orientation(file.getvalue()) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_images_to_calibrate_on_are_upright(tmp_path, kind):
    path = write(tmp_path, encoded(kind, 8))
    (image,) = folder_images(tmp_path)
    np.testing.assert_array_equal(image, read_image(path, upright=True))
    assert image.shape == (24, 16, 3)


def test_pairs_are_as_stored(tmp_path):
    image = write(tmp_path, encoded(tag=6))
    mask = write_mask(tmp_path / "m.png", (16, 24))
    np.testing.assert_array_equal(read_pair(image, mask, CAMVID)[0], read_image(image))


@pytest.mark.parametrize("tag", range(5, 9))
def test_a_mask_of_the_upright_image_names_exif_and_the_remedy(tmp_path, tag):
    image = write(tmp_path, encoded(tag=tag))
    mask = write_mask(tmp_path / "m.png", (24, 16))
    with pytest.raises(SizeMismatchError) as caught:
        read_pair(image, mask, CAMVID)
    assert f"EXIF orientation {tag}" in str(caught.value)
    assert "upright" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("tag", "size"), [(1, (24, 16)), (3, (24, 16)), (6, (9, 9))])
def test_other_sizes_have_nothing_to_do_with_exif(tmp_path, tag, size):
    image = write(tmp_path, encoded(tag=tag))
    mask = write_mask(tmp_path / "m.png", size)
    with pytest.raises(SizeMismatchError) as caught:
        read_pair(image, mask, CAMVID)
    assert "EXIF" not in str(caught.value)
    assert isinstance(caught.value, DataError)
