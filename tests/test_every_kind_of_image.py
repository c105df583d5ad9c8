"""Images of every kind through every way in: right pixels, or one and the same line."""

import base64
import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from data_files import CLASSES, write_mask
from PIL import Image, ImageOps
from test_cli import keras_frm
from tflite_files import colour_mask

from keras_frm.data.check import check_data
from keras_frm.data.pipeline import load_dataset
from keras_frm.data.representative import folder_images
from keras_frm.files import DataError, data_error
from keras_frm.images.reading import read_image

SIZE = (32, 48)

# 24x16 pixels with arithmetic coding, by cjpeg of libjpeg-turbo: Pillow writes none.
_ARITHMETIC = base64.b85decode(
    "|JeWF01!$>Nk#wx0RR9200961|JwjV00IF40RaI50RaI50s;a81OoyB0s;jD1Oo&H1qKEN1qKEN2MGuU"
    "2MGrT1_%oX2?`1d3JL}Y3k(Yi3<(Mf3jf;xLjeK;0s;a81p@;G3I_%U3JMAe3JMAe3JMAe3JMAe3JMAe"
    "3JMAe3JMAe3JMAe3JMAe3JMAe3JMAe3JMAe3JU+p01*fP5C9kh0TBQK5di}c0sqVZ3IGrg1pyEd1^?Or"
    "3<CiG0ucid06zf#0PNwrn@|T?<Bww_GwS4@jpp?rVfN$aPX6Y+-{ax~#^30wag;!dOE&{t#?Jo$8OT?l"
    "T+d>A?z7=$f{f-2TP@*HY8ROt4^OSBokfg(NJ<?*H7|-^S(rTwHKdx)dS>Qb(mzkb_W#)"
)


def picture():
    """A smooth picture, which lossy formats keep, whose turns all differ."""
    small = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    return cv2.resize(small, SIZE[::-1], interpolation=cv2.INTER_CUBIC)


COLOUR = picture()
GREY = np.ascontiguousarray(COLOUR[..., 1])
ALPHA = np.random.default_rng(1).integers(0, 256, SIZE, np.uint8)
WIDE = np.random.default_rng(2).integers(0, 2**16, (*SIZE, 3), np.uint16)
PALETTE = Image.fromarray(COLOUR).quantize(64)
FEW = Image.fromarray(COLOUR).quantize(12)


def saved(image, kind, **options):
    file = io.BytesIO()
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(file, kind, **options)
    return file.getvalue()


def animated(kind, **options):
    others = [Image.fromarray(255 - COLOUR), Image.fromarray(COLOUR // 2)]
    options = {"save_all": True, "append_images": others, "duration": 90, **options}
    return saved(COLOUR, kind, **options)


def chunk(name, content):
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum


def png(rows, bits, colour_type, interlaced=0):
    """Write a PNG of rows of bytes, as Pillow writes neither few bits nor passes."""
    header = struct.pack(">IIBBBBB", *SIZE[::-1], bits, colour_type, 0, 0, interlaced)
    content = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = chunk(b"IHDR", header), chunk(b"IDAT", content), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def grey_of(bits):
    """Grey of few bits: the samples, and the file."""
    levels = GREY >> (8 - bits)
    samples = np.unpackbits(levels[..., None], axis=-1)[..., 8 - bits :]  # (H, W, bits)
    rows = np.packbits(samples.reshape(SIZE[0], -1), axis=-1)
    return three(levels * (255 // (2**bits - 1))), png(map(bytes, rows), bits, 0)


def interlaced():
    """The seven passes of Adam7."""
    passes = (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)
    passes += (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)
    rows = [row.tobytes() for x, y, dx, dy in passes for row in COLOUR[y::dy, x::dx, :]]
    return png(rows, 8, 2, interlaced=1)


def three(grey):
    return np.repeat(grey[..., None], 3, axis=-1)  # (H, W, 3)


def shown(data):
    """Return what viewers show of a file, by Pillow."""
    return np.asarray(
        ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    )


def oriented(tag, kind):
    exif = Image.Exif()
    exif[0x0112] = tag
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    return saved(COLOUR, kind, exif=exif, **options)


def kinds():
    """File name -> what is in it, and the pixels as stored; None is Pillow's own."""
    exact = {
        "grey.png": (saved(GREY, "PNG"), three(GREY)),
        "palette.png": (saved(PALETTE, "PNG"), np.array(PALETTE.convert("RGB"))),
        "palette 4 bits.png": (saved(FEW, "PNG", bits=4), np.array(FEW.convert("RGB"))),
        "see-through palette.png": (
            saved(FEW, "PNG", transparency=0),
            np.array(FEW.convert("RGB")),
        ),
        **{f"grey {bits}.png": grey_of(bits)[::-1] for bits in (1, 2, 4)},
        "grey 16.png": (saved(WIDE[..., 0], "PNG"), three(WIDE[..., 0] >> 8)),
        "colour 16.png": (
            cv2.imencode(".png", WIDE[..., ::-1])[1].tobytes(),
            WIDE >> 8,
        ),
        "alpha.png": (saved(np.dstack([COLOUR, ALPHA]), "PNG"), COLOUR),
        "grey alpha.png": (saved(np.dstack([GREY, ALPHA]), "PNG"), three(GREY)),
        "interlaced.png": (interlaced(), COLOUR),
        "animated.png": (animated("PNG"), COLOUR),
        "still of an animation.png": (animated("PNG", default_image=True), COLOUR),
        "lossless.webp": (saved(COLOUR, "WEBP", lossless=True), COLOUR),
        "animated.webp": (animated("WEBP", lossless=True), COLOUR),
        "alpha.of.webp": (
            saved(np.dstack([COLOUR, ALPHA]), "WEBP", lossless=True, exact=True),
            COLOUR,
        ),
        "colour.bmp": (saved(COLOUR, "BMP"), COLOUR),
        "palette bmp.bmp": (saved(PALETTE, "BMP"), np.array(PALETTE.convert("RGB"))),
        "straße 写真 [1].png": (saved(COLOUR, "PNG"), COLOUR),
        " blanks .png": (saved(COLOUR, "PNG"), COLOUR),
        "UPPER.PNG": (saved(COLOUR, "PNG"), COLOUR),
        "a png.jpg": (saved(COLOUR, "PNG"), COLOUR),
        **{f"orientation {n}.png": (oriented(n, "PNG"), COLOUR) for n in range(1, 9)},
    }
    lossy = {
        "baseline.jpg": saved(COLOUR, "JPEG", quality=95),
        "progressive.jpeg": saved(COLOUR, "JPEG", quality=95, progressive=True),
        "arithmetic.jpg": _ARITHMETIC,
        "grey jpeg.jpg": saved(GREY, "JPEG", quality=95),
        "cmyk.jpg": saved(Image.fromarray(COLOUR).convert("CMYK"), "JPEG", quality=95),
        "lossy.webp": saved(COLOUR, "WEBP", quality=90),
        "a jpeg.png": saved(COLOUR, "JPEG", quality=95),
        **{f"turned {n}.jpg": oriented(n, "JPEG") for n in range(1, 9)},
    }
    return {**exact, **{name: (data, None) for name, data in lossy.items()}}


def refused():
    """File name -> what is in it, and a part of the line that refuses it."""
    whole = saved(
        np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8), "PNG"
    )
    jpeg = saved(COLOUR, "JPEG")
    return {
        "empty.png": (b"", "is empty"),
        "cut.jpg": (jpeg[: len(jpeg) // 2], "truncated"),
        "cut.png": (whole[: len(whole) // 2], "truncated"),
        "gif.png": (saved(PALETTE, "GIF"), "it is not PNG"),
        "animated gif.jpg": (animated("GIF"), "it is not PNG"),
        "text.png": (b"<html>404</html>", "it is not PNG"),
    }


def write_dataset(root, files):
    """Write images with masks of the stored size."""
    for name, data in files.items():
        path = root / "images/train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        try:
            size = read_image(path).shape[:2]
        except DataError:
            size = SIZE
        ids = np.arange(size[0] * size[1], dtype=np.uint8).reshape(size) % 3
        write_mask(root / "masks/train" / f"{name.rpartition('.')[0]}.png", value=ids)
    (root / "classes.csv").write_text(CLASSES)
    return root


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A file whose mask is the brightest channel of a pixel."""
    path = tmp_path_factory.mktemp("network") / "net.tflite"
    path.write_bytes(colour_mask())
    return path


def close(found, data, exact):
    """Assert that pixels are those known, or near to those of Pillow's decoder."""
    if exact is None:
        stored = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        assert found.shape == stored.shape
        # Decoders of JPEG and WebP round, and interpolate colour, in their own ways.
        assert abs(found.astype(int) - stored).mean() < 1.5
    else:
        np.testing.assert_array_equal(found, exact)


def test_there_are_enough_kinds():
    assert len(kinds()) + len(refused()) > 24


@pytest.mark.parametrize("name", kinds())
def test_pixels_are_right_as_stored_and_upright(tmp_path, name):
    data, exact = kinds()[name]
    path = tmp_path / name
    path.write_bytes(data)
    stored = read_image(path)
    close(stored, data, exact)
    upright = read_image(path, upright=True)
    if "orientation" in name or "turned" in name:
        assert abs(upright.astype(int) - shown(data)).max() <= 4
    else:
        np.testing.assert_array_equal(upright, stored)


def check_every_way(root, files, network):
    """Assert that a dataset's images are the same by every way in."""
    data = write_dataset(root, files)
    images = data / "images/train"

    report = check_data("folder", data, "train")
    # Of a tag that may have turned its mask check-data warns, and reads it as stored.
    assert {row["problem"] for row in report.problem_rows()} <= {"EXIF orientation"}
    assert report.pairs == len(report.sound_pairs) == len(files)

    dataset = load_dataset("folder", data, "train", augment=False, batch_size=1)
    assert {pair.image.name for pair in dataset.listing.pairs} == set(files)
    for pair, (image, label) in zip(dataset.listing.pairs, dataset, strict=True):
        np.testing.assert_array_equal(image[0], read_image(pair.image))
        assert label.shape[1:] == image.shape[1:3]

    upright = [read_image(images / name, upright=True) for name in sorted(files)]
    for image, expected in zip(folder_images(images), upright, strict=True):
        np.testing.assert_array_equal(image, expected)

    out = root / "out"
    done = keras_frm("predict", network, images, "--masks", "--out", out)
    assert done.code == 0, done.err
    for name, image in zip(sorted(files), upright, strict=True):
        mask = cv2.imdecode(
            np.fromfile(out / f"{name.rpartition('.')[0]}_mask.png", np.uint8),
            cv2.IMREAD_UNCHANGED,
        )
        assert mask.shape == image.shape[:2], name
        if mask.shape == SIZE:
            np.testing.assert_array_equal(mask, image.argmax(-1), name)


def test_an_image_is_the_same_by_every_way_in(tmp_path, network):
    files = {name: data for name, (data, _) in kinds().items()}
    check_every_way(tmp_path, files, network)


@pytest.mark.parametrize("name", ["colour.tif", "GREY.TIFF"])
def test_a_tiff_image_is_the_same_by_every_way_in(tmp_path, network, name):
    pixels = COLOUR if name == "colour.tif" else GREY
    check_every_way(tmp_path, {name: saved(pixels, "TIFF")}, network)
    image = read_image(tmp_path / "images/train" / name)
    np.testing.assert_array_equal(image, COLOUR if pixels.ndim == 3 else three(GREY))


@pytest.mark.parametrize("name", refused())
def test_what_is_refused_is_refused_in_one_line_by_every_way_in(
    tmp_path, network, name
):
    content, reason = refused()[name]
    data = write_dataset(tmp_path, {name: content})
    path = data / "images/train" / name
    with pytest.raises(DataError, match=reason) as caught:
        read_image(path)
    line = str(caught.value)
    assert "\n" not in line
    assert str(path) in line

    ((unreadable, said),) = check_data("folder", data, "train").unreadable
    assert (unreadable, said) == (path, line)
    dataset = load_dataset("folder", data, "train", augment=False, batch_size=1)
    with pytest.raises(Exception, match="DataError") as caught:
        list(dataset)
    assert line in str(data_error(caught.value))
    with pytest.raises(DataError) as caught:
        list(folder_images(path.parent))
    assert str(caught.value) == line
    done = keras_frm("predict", network, path, "--out", tmp_path / "out")
    assert done.code == 1
    assert line in done.out + done.err
    assert "Traceback" not in done.err


def test_names_with_composed_and_decomposed_accents_are_pairs(tmp_path):
    write_dataset(tmp_path, {"caf\u00e9.png": saved(COLOUR, "PNG")})
    image = tmp_path / "images/train/caf\u00e9.png"
    image.rename(image.with_name("cafe\u0301.png"))  # as macOS writes it
    assert check_data("folder", tmp_path, "train").pairs == 1
