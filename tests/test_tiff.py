import contextlib

import numpy as np
import pytest
from PIL import Image

from keras_frm.files import DataError, DataWarning
from keras_frm.images import reading
from keras_frm.images.reading import image_size, read_image

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 8, 3), np.uint8)


def write(path, array=PIXELS, mode=None, **options):
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["tif", "tiff", "png"])
@pytest.mark.parametrize(
    "compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"]
)
@pytest.mark.filterwarnings("error")
def test_tiff_is_rgb_and_exact(tmp_path, suffix, compression):
    path = tmp_path / f"a.{suffix}"
    write(path, format="TIFF", compression=compression)
    np.testing.assert_array_equal(read_image(path), PIXELS)
    assert image_size(path) == (5, 8)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK"])
def test_pixel_types_become_rgb(tmp_path, mode):
    path = write(tmp_path / "a.tif", mode=mode)
    expected = np.asarray(Image.fromarray(PIXELS).convert(mode).convert("RGB"))
    np.testing.assert_array_equal(read_image(path), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_read_as_stored(tmp_path, orientation):
    path = write(tmp_path / "a.tif", tiffinfo={274: orientation})
    np.testing.assert_array_equal(read_image(path), PIXELS)
    assert image_size(path) == (5, 8)


def test_16_bits_give_the_upper_8(tmp_path):
    wide = np.arange(40, dtype=np.uint16).reshape(5, 8) * 1600
    path = write(tmp_path / "a.tif", wide)
    np.testing.assert_array_equal(read_image(path)[..., 1], wide >> 8)


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (PIXELS[..., 0].astype(np.float32), {}, "signed, float or of 32 bits"),
        (PIXELS[..., 0].astype(np.int32), {}, "signed, float or of 32 bits"),
        (PIXELS[..., 0], {"tiffinfo": {339: 2}}, "signed, float"),
        (PIXELS, {"compression": "zstd"}, "its compression 50000 .* save it with LZW"),
        (PIXELS, {"compression": "lzma"}, "its compression 34925 .* save it with LZW"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path, array, options, message):
    path = write(tmp_path / "a.tif", array, **options)
    with pytest.raises(DataError, match=message):
        read_image(path)


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("kept", [0.01, 0.3, 0.7, 0.97])
def test_truncated(tmp_path, compression, kept):
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    path = write(tmp_path / "a.tif", noise, compression=compression)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(DataError, match=r"a\.tif"):
        read_image(path)


def test_first_of_several_pages(tmp_path):
    second = Image.fromarray(255 - PIXELS)
    path = write(tmp_path / "a.tif", save_all=True, append_images=[second])
    with pytest.warns(DataWarning, match="several pages; the first is read"):
        np.testing.assert_array_equal(read_image(path), PIXELS)


@pytest.mark.filterwarnings("error")
def test_a_smaller_copy_is_no_page(tmp_path):
    first, small = Image.fromarray(PIXELS), Image.fromarray(PIXELS[::2, ::2])
    small.encoderinfo = {"tiffinfo": {254: 1}}
    path = tmp_path / "a.tif"
    first.save(path, save_all=True, append_images=[small])
    np.testing.assert_array_equal(read_image(path), PIXELS)


def test_size_is_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_PIXELS", 39)
    with pytest.raises(DataError, match="8x5 pixels are over the limit"):
        read_image(write(tmp_path / "a.tif"))


def test_damaged_files_raise_only_data_errors(tmp_path):
    rng = np.random.default_rng(1)
    path = write(tmp_path / "a.tif")
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    for _ in range(60):
        damaged = whole.copy()
        where = np.concatenate([rng.integers(0, 8, 1), rng.integers(0, len(whole), 3)])
        damaged[where] = rng.integers(0, 256, 4)
        path.write_bytes(damaged.tobytes())
        with contextlib.suppress(DataError):
            assert read_image(path).dtype == np.uint8


# === Thermal images ===


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_14_bits_of_16_are_warned_of(tmp_path, suffix):
    thermal = np.linspace(7000, 8396, 40).astype(np.uint16).reshape(5, 8)
    path = write(tmp_path / f"a.{suffix}", thermal)
    with pytest.warns(DataWarning, match="Scale all images alike before"):
        assert len(np.unique(read_image(path))) < 10


@pytest.mark.filterwarnings("error")
def test_a_whole_range_of_16_bits_is_not(tmp_path):
    whole = np.linspace(0, 65535, 40).astype(np.uint16).reshape(5, 8)
    read_image(write(tmp_path / "a.png", whole))
    read_image(write(tmp_path / "b.png", np.full((5, 8), 3, np.uint8)))
