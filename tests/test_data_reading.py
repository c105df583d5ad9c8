import contextlib
import dataclasses
import re

import numpy as np
import pytest
from data_files import write_image, write_mask
from PIL import Image

from keras_frm.data.reading import (
    SizeMismatchError,
    UnknownIdsError,
    read_mask,
    read_pair,
)
from keras_frm.files import DataError
from keras_frm.images import reading
from keras_frm.images.reading import image_size, read_image
from keras_frm.labels import BDD100K, CAMVID, CITYSCAPES, LabelSet


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_image_is_rgb_and_exact(tmp_path, suffix):
    pixels = noise(7, 5)
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read_image(tmp_path / f"a.{suffix}"), pixels)


def test_image_path_may_be_text(tmp_path):
    path = write_image(tmp_path / "a.png", (3, 4))
    assert read_image(str(path)).shape == (3, 4, 3)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_other_pixel_types_become_rgb(tmp_path, mode):
    suffix = "jpg" if mode == "CMYK" else "png"
    Image.new("RGB", (6, 4), (200, 200, 200)).convert(mode).save(
        tmp_path / f"a.{suffix}"
    )
    image = read_image(tmp_path / f"a.{suffix}")
    assert image.shape == (4, 6, 3)
    assert abs(image.astype(int) - 200).max() <= 4


def test_exif_orientation_is_ignored(tmp_path):
    image = Image.fromarray(noise(4, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees
    image.save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").shape == (4, 8, 3)
    assert image_size(tmp_path / "a.jpg") == (4, 8)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("kept", [0.3, 0.7, 0.97])
def test_truncated_image(tmp_path, suffix, kept):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(noise(64, 64)).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(DataError, match=re.escape(str(path))):
        read_image(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\xff\xd8"])
@pytest.mark.parametrize("read", [read_image, lambda p: read_mask(p, CAMVID)])
def test_not_an_image(tmp_path, content, read):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(str(path))) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert caught.value.path == path


@pytest.mark.parametrize("name", ["missing.png", "."])
def test_no_such_file(tmp_path, name):
    with pytest.raises(DataError, match="There is no file"):
        read_image(tmp_path / name)


def test_damaged_files_raise_only_data_errors(tmp_path):
    rng = np.random.default_rng(1)
    path = tmp_path / "a.png"
    for suffix in ("PNG", "JPEG", "BMP"):
        Image.fromarray(noise(16, 16)).save(path, suffix)
        whole = np.frombuffer(path.read_bytes(), np.uint8)
        for _ in range(40):
            damaged = whole.copy()
            damaged[rng.integers(0, len(whole), 4)] = rng.integers(0, 256, 4)
            path.write_bytes(damaged.tobytes())
            for read in (read_image, lambda p: read_mask(p, CITYSCAPES)):
                # Damage to a pixel alone goes unnoticed; anything but these two fails.
                with contextlib.suppress(DataError):
                    assert read(path).dtype == np.uint8


def test_decompression_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    monkeypatch.setattr(reading, "MAX_PIXELS", 191)
    path = write_image(tmp_path / "a.png", (12, 16))
    for read in (read_image, image_size):
        with pytest.raises(DataError, match="16x12 pixels are over the limit"):
            read(path)
    with pytest.raises(DataError, match="exceeds limit"):
        read_mask(path, CAMVID)


def test_mask_maps_stored_ids(tmp_path):
    ids = np.uint8([[7, 26, 33], [0, 29, 255]])
    path = write_mask(tmp_path / "a.png", value=ids)
    expected = [[0, 13, 18], [255, 255, 255]]
    assert read_mask(path, CITYSCAPES).tolist() == expected


def test_mask_of_train_ids(tmp_path):
    path = write_mask(tmp_path / "a.png", value=np.uint8([[0, 18, 255]]))
    assert read_mask(path, BDD100K).tolist() == [[0, 18, 255]]
    assert read_mask(path, CITYSCAPES, train_ids=True).tolist() == [[0, 18, 255]]


def test_palette_mask_gives_indices(tmp_path):
    image = Image.fromarray(np.uint8([[0, 5], [13, 255]]))
    image.putpalette([(7 * i) % 256 for i in range(768)])
    assert image.mode == "P"
    image.save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png", BDD100K).tolist() == [[0, 5], [13, 255]]


def test_palette_mask_of_few_bits_gives_indices(tmp_path):
    image = Image.fromarray(np.uint8([[0, 1], [3, 2]]))
    image.putpalette([0, 0, 0, 9, 9, 9, 99, 99, 99, 200, 0, 0])
    image.save(tmp_path / "a.png", bits=2)
    assert read_mask(tmp_path / "a.png", BDD100K).tolist() == [[0, 1], [3, 2]]


def test_16_bit_mask(tmp_path):
    path = write_mask(tmp_path / "a.png", value=np.uint16([[7, 26]]))
    assert read_mask(path, CITYSCAPES).tolist() == [[0, 13]]


def test_16_bit_mask_with_wide_ids(tmp_path):
    labels = LabelSet("wide", ("a", "b"), ((1, 1, 1), (2, 2, 2)), {7: 0, 26001: 1})
    path = write_mask(tmp_path / "a.png", value=np.uint16([[7, 26001], [26001, 7]]))
    mask = read_mask(path, labels)
    assert mask.dtype == np.uint8
    assert mask.tolist() == [[0, 1], [1, 0]]
    with pytest.raises(UnknownIdsError) as caught:
        read_mask(path, CITYSCAPES)
    assert caught.value.values == (26001,)


def test_jpeg_mask_is_refused(tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.png", "JPEG")
    with pytest.raises(DataError, match="not PNG"):
        read_mask(tmp_path / "a.png", CAMVID)


@pytest.mark.parametrize(
    ("labels", "known", "unknown"),
    [(CITYSCAPES, 26, 34), (BDD100K, 18, 19), (CAMVID, 11, 12)],
)
def test_unknown_ids_are_named(tmp_path, labels, known, unknown):
    path = write_mask(tmp_path / "a.png", value=np.uint8([[known, unknown, 200]]))
    with pytest.raises(UnknownIdsError, match=f"a.png.*: {unknown}, 200") as caught:
        read_mask(path, labels)
    assert caught.value.values == (unknown, 200)


def test_all_ignored_mask(tmp_path):
    path = write_mask(tmp_path / "a.png", (3, 5), 11)
    assert (read_mask(path, CAMVID) == 255).all()


def test_255_classes_use_every_train_id(tmp_path):
    palette = tuple((n, n, n) for n in range(255))
    labels = LabelSet("many", tuple(str(n) for n in range(255)), palette)
    ids = np.arange(256, dtype=np.uint8).reshape(16, 16)
    path = write_mask(tmp_path / "a.png", value=ids)
    np.testing.assert_array_equal(read_mask(path, labels), ids)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colour_mask(tmp_path, mode):
    train_ids = np.random.default_rng(0).integers(0, 19, (9, 7))
    colours = CITYSCAPES.colours()[train_ids]
    colours[0, 0] = (1, 2, 3)
    Image.fromarray(colours).convert(mode).save(tmp_path / "a.png")
    labels = dataclasses.replace(CITYSCAPES, ignored_colours=frozenset({(1, 2, 3)}))
    mask = read_mask(tmp_path / "a.png", labels)
    train_ids[0, 0] = 255
    np.testing.assert_array_equal(mask, train_ids)


def test_unknown_colours_are_named(tmp_path):
    Image.fromarray(np.uint8([[[128, 64, 128], [128, 64, 129]]])).save(
        tmp_path / "a.png"
    )
    with pytest.raises(UnknownIdsError, match=r"\(128, 64, 129\)") as caught:
        read_mask(tmp_path / "a.png", CITYSCAPES)
    assert caught.value.values == ((128, 64, 129),)


def test_pair_must_have_one_size(tmp_path):
    image = write_image(tmp_path / "a.png", (12, 16))
    mask = write_mask(tmp_path / "b.png", (12, 15))
    with pytest.raises(SizeMismatchError, match=r"16x12.*15x12"):
        read_pair(image, mask, CAMVID)


def test_pair(tmp_path):
    image = write_image(tmp_path / "a.png", (5, 3), 42)
    mask = write_mask(tmp_path / "b.png", (5, 3), 8)
    pixels, ids = read_pair(image, mask, CITYSCAPES)
    assert pixels.shape == (5, 3, 3)
    assert (pixels == 42).all()
    assert (ids == CITYSCAPES.ids[8]).all()


def test_real_cityscapes_ids_agree_with_train_ids(data_dir):
    folder = data_dir / "samples/cityscapes/gtFine/val/frankfurt"
    stem = "frankfurt_000000_000294_gtFine"
    mapped = read_mask(folder / f"{stem}_labelIds.png", CITYSCAPES)
    stored = read_mask(folder / f"{stem}_labelTrainIds.png", BDD100K)
    # The sample was shrunk file by file, so a few pixels on outlines differ.
    assert (mapped == stored).mean() > 0.997
    with pytest.raises(UnknownIdsError, match="26001"):
        read_mask(folder / f"{stem}_instanceIds.png", CITYSCAPES)


def test_real_bdd100k_palette_masks(data_dir):
    mask = read_mask(data_dir / "samples/bdd100k_masks/a.png", BDD100K)
    assert mask.shape == (720, 1280)
    assert set(np.unique(mask)) == {0, 1, 2, 5, 6, 7, 8, 9, 10, 13, 14}
