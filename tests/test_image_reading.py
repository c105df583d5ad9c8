"""Where an image ends in its file, and what reading one needs."""

import io
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image
from tflite_files import colour_mask

from keras_frm.files import DataError
from keras_frm.images.header import read_header
from keras_frm.images.reading import image_size, read_image

# What a motion photo carries behind its image: a video, with every marker of JPEG.
_VIDEO = b"ftypmp42" + b"\xff\xd8\xff\xda\0\x0c\x03" + b"\x12" * 40 + b"\xff\xd9"


def noise(height=40, width=56):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def encoded(kind="JPEG", pixels=None, **options):
    file = io.BytesIO()
    Image.fromarray(noise() if pixels is None else pixels).save(file, kind, **options)
    return file.getvalue()


def with_restart_markers():
    options = [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]
    return cv2.imencode(".jpg", noise(), options)[1].tobytes()


def with_thumbnail(kind="exif"):
    thumbnail = encoded(pixels=noise(8, 8))
    exif = Image.Exif()
    exif[0x010E] = thumbnail
    return encoded(exif=exif)


def with_second_image():
    # As the Multi-Picture Format: an index in a segment, and an image behind.
    file = io.BytesIO()
    first, second = Image.fromarray(noise()), Image.fromarray(noise(16, 16))
    first.save(file, "MPO", save_all=True, append_images=[second])
    return file.getvalue()


def with_fill_bytes():
    data = encoded()
    scan = data.index(b"\xff\xda")
    return data[:scan] + b"\xff\xff" + data[scan:-2] + b"\xff\xff" + data[-2:]


JPEGS = {
    "baseline": encoded,
    "progressive": lambda: encoded(progressive=True),
    "grey": lambda: encoded(pixels=noise()[..., 0]),
    "restart markers": with_restart_markers,
    "thumbnail": with_thumbnail,
    "fill bytes": with_fill_bytes,
}


@pytest.fixture(params=JPEGS)
def jpeg(request):
    return JPEGS[request.param]()


def write(folder, data):
    path = folder / "a.jpg"
    path.write_bytes(data)
    return path


def test_restart_markers_and_scans_are_in_what_is_tested():
    assert b"\xff\xd3" in with_restart_markers()
    assert encoded(progressive=True).count(b"\xff\xda") > 3


@pytest.mark.parametrize(
    "trailer",
    [b"\0" * 50, b"\xff\xd9", _VIDEO, _VIDEO * 3, b"\xff\xda", b"\xff", b"\xff\xd8"],
    ids=["zeros", "end", "video", "videos", "scan", "half a marker", "start"],
)
def test_jpeg_with_bytes_behind_its_end(tmp_path, jpeg, trailer):
    alone = read_image(write(tmp_path, jpeg))
    path = write(tmp_path, jpeg + trailer)
    np.testing.assert_array_equal(read_image(path), alone)
    assert image_size(path) == alone.shape[:2]


def test_jpeg_of_several_pictures_gives_the_first(tmp_path):
    assert read_image(write(tmp_path, with_second_image())).shape == (40, 56, 3)


def test_every_cut_of_a_jpeg_is_refused(tmp_path, jpeg):
    # Cut in a header, in a table, in a scan, between scans, before the end marker.
    assert read_header(jpeg).complete
    for cut in range(1, len(jpeg) - 2):
        header = read_header(jpeg[:-cut])
        assert header is None or not header.complete, cut
    for kept in (0.02, 0.2, 0.5, 0.8, 0.999):
        with pytest.raises(DataError, match=r"truncated|not PNG"):
            read_image(write(tmp_path, jpeg[: int(kept * len(jpeg))]))


@pytest.mark.parametrize("trailer", [b"\0\0\0", b"no marker at all" * 9])
def test_cut_jpeg_with_bytes_behind_it(tmp_path, trailer):
    with pytest.raises(DataError, match="truncated"):
        read_image(write(tmp_path, encoded()[:-40] + trailer))


def test_cut_jpeg_with_a_whole_thumbnail(tmp_path):
    with pytest.raises(DataError, match="truncated"):
        read_image(write(tmp_path, with_thumbnail()[:-100]))


def test_jpeg_without_a_scan_is_refused(tmp_path):
    data = encoded()
    head = data[: data.index(b"\xff\xda")]
    with pytest.raises(DataError, match="truncated"):
        read_image(write(tmp_path, head + b"\xff\xd9"))


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"}),
    ],
    ids=["PNG", "BMP", "lossy WebP", "lossless WebP", "extended WebP"],
)
def test_other_formats_end_where_they_say(tmp_path, kind, options):
    data = encoded(kind, **options)
    alone = read_image(write(tmp_path, data))
    assert image_size(tmp_path / "a.jpg") == alone.shape[:2] == (40, 56)
    for trailer in (b"\0" * 50, _VIDEO):
        read = read_image(write(tmp_path, data + trailer))
        np.testing.assert_array_equal(read, alone)
    for cut in (1, 40, len(data) // 2, len(data) - 20):
        with pytest.raises(DataError, match="Cannot read"):
            read_image(write(tmp_path, data[:-cut]))


def test_bmp_with_rows_from_the_top(tmp_path):
    data = bytearray(encoded("BMP"))
    data[22:26] = (-40).to_bytes(4, "little", signed=True)
    path = write(tmp_path, bytes(data))
    assert image_size(path) == (40, 56)
    np.testing.assert_array_equal(read_image(path), noise()[::-1])


# Put before a script: what the base install does not have.
_BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('PIL', 'keras', 'tensorflow', 'matplotlib'):
            raise ModuleNotFoundError('No module named ' + name, name=name)
sys.meta_path.insert(0, Block())
"""


def run(script, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", _BLOCK + script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_images_are_read_without_pillow(tmp_path):
    path = write(tmp_path, encoded())
    script = (
        "from keras_frm.images.reading import image_size, read_image\n"
        "print(read_image(sys.argv[1]).shape, image_size(sys.argv[1]))"
    )
    assert run(script, path).strip() == "(40, 56, 3) (40, 56)"


def test_predict_on_a_device_needs_neither_pillow_nor_keras(tmp_path):
    (tmp_path / "net.tflite").write_bytes(colour_mask())
    path = write(tmp_path, encoded(pixels=noise(32, 48)))
    script = "from keras_frm.cli import main; main()"
    out = tmp_path / "out"
    run(script, "predict", tmp_path / "net.tflite", path, "--masks", "--out", out)
    assert set(np.unique(read_image(out / "a_mask.png"))) == {0, 1, 2}
