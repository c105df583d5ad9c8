"""Whether a mask's numbers are ids or stand for colours: one picture, one result."""

import warnings

import numpy as np
import pytest
from data_files import CLASSES, write_folder, write_image
from PIL import Image

from keras_frm.data.check import check_data
from keras_frm.data.class_file import read_class_file
from keras_frm.data.pipeline import load_dataset
from keras_frm.data.reading import AmbiguousMaskError, UnknownIdsError, read_mask
from keras_frm.files import DataError, DataWarning, data_error
from keras_frm.labels import BDD100K, CAMVID, CITYSCAPES

IDS = np.uint8([[0, 0, 1], [2, 2, 1]])
ROAD, CAR, SKY = (128, 64, 128), (0, 0, 142), (70, 130, 180)
BLACK_AND_WHITE = "id,name,r,g,b\n0,background,0,0,0\n1,road,255,255,255\n"


def labels_of(tmp_path, rows=CLASSES):
    (tmp_path / "classes.csv").write_text(rows)
    return read_class_file(tmp_path / "classes.csv")


def palette_mask(path, indices, palette, **options):
    image = Image.fromarray(np.uint8(indices))
    image.putpalette([value for colour in palette for value in colour])
    image.save(path, **options)
    with Image.open(path) as written:
        assert written.mode == "P"
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_a_colour_mask_saved_with_a_palette_is_the_same_mask(tmp_path, suffix):
    colours = Image.fromarray(np.uint8([ROAD, CAR, SKY])[IDS])
    colours.quantize(8).save(tmp_path / f"a.{suffix}")
    labels = labels_of(tmp_path)
    with pytest.warns(DataWarning, match="the colours count"):
        mask = read_mask(tmp_path / f"a.{suffix}", labels)
    assert mask.tolist() == IDS.tolist()


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_palettes_of_few_bits(tmp_path, bits):
    palette = [SKY, ROAD] if bits == 1 else [SKY, ROAD, CAR]
    indices = [[0, 1]] if bits == 1 else [[0, 1, 2]]
    path = palette_mask(tmp_path / "a.png", indices, palette, bits=bits)
    with pytest.warns(DataWarning, match="the colours count"):
        mask = read_mask(path, labels_of(tmp_path))
    assert mask.tolist() == ([[2, 0]] if bits == 1 else [[2, 0, 1]])


def test_a_palette_with_transparency(tmp_path):
    path = palette_mask(tmp_path / "a.png", IDS, [SKY, ROAD, CAR], transparency=0)
    with pytest.warns(DataWarning, match="the colours count"):
        mask = read_mask(path, labels_of(tmp_path))
    assert mask.tolist() == np.uint8([2, 0, 1])[IDS].tolist()


def test_an_ignored_colour_in_a_palette(tmp_path):
    labels = labels_of(tmp_path, CLASSES + ",void,0,0,0\n")
    path = palette_mask(tmp_path / "a.png", IDS, [(0, 0, 0), SKY, ROAD])
    with pytest.warns(DataWarning, match="the colours count"):
        mask = read_mask(path, labels)
    assert mask.tolist() == [[255, 255, 2], [0, 0, 2]]


VOC = [(0, 0, 0), (128, 0, 0), (0, 128, 0)]


@pytest.mark.parametrize(
    ("palette", "rows"),
    [
        (VOC, ""),  # other colours than the classes'
        ([ROAD, CAR, SKY], ""),  # the classes' own, at their ids
        ([ROAD, (1, 2, 3), SKY], ""),  # some of them
        (VOC, ",void,0,0,0\n"),  # black means two things
        ([(n, n, n) for n in range(256)], ""),  # as BDD100K's
    ],
)
@pytest.mark.filterwarnings("error")
def test_palettes_of_ids_are_read_as_ids(tmp_path, palette, rows):
    path = palette_mask(tmp_path / "a.png", IDS, palette)
    mask = read_mask(path, labels_of(tmp_path, CLASSES + rows))
    assert mask.tolist() == IDS.tolist()


def test_unused_entries_of_a_palette_do_not_count(tmp_path):
    path = palette_mask(tmp_path / "a.png", IDS * 0, [ROAD, SKY, CAR])
    assert (read_mask(path, labels_of(tmp_path)) == 0).all()


def test_a_palette_of_some_colours_at_other_ids_is_ambiguous(tmp_path):
    path = palette_mask(tmp_path / "a.png", IDS, [SKY, (1, 2, 3), (4, 5, 6)])
    with pytest.raises(AmbiguousMaskError, match=r"a\.png.* stores 0, .* stores 1, 2"):
        read_mask(path, labels_of(tmp_path))


def test_readers_of_datasets_take_the_colours_of_a_palette_too(tmp_path):
    path = palette_mask(tmp_path / "a.png", IDS, [SKY, ROAD, CAR])
    with pytest.warns(DataWarning, match="the colours count"):
        assert read_mask(path, BDD100K).tolist() == [[10, 10, 0], [13, 13, 0]]
    with pytest.warns(DataWarning, match="the colours count"):
        mask = read_mask(path, CITYSCAPES, train_ids=True)
    assert mask.tolist() == [[10, 10, 0], [13, 13, 0]]


def palette_folder(root):
    write_folder(root, count=4, size=IDS.shape)
    for n in range(4):
        path = root / f"masks/train/00{n}.png"
        palette_mask(path, IDS, [SKY, ROAD, CAR])
    return root


def test_colours_of_a_palette_are_said_once_for_a_dataset(tmp_path):
    palette_folder(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = load_dataset(
            "folder", tmp_path, "train", batch_size=1, augment=False, workers=1
        )
        read = [label.numpy().tolist() for _, label in data]
    assert read == [[np.uint8([2, 0, 1])[IDS].tolist()]] * 4
    said = [str(w.message) for w in caught if issubclass(w.category, DataWarning)]
    assert len(said) == 1
    assert "000.png" in said[0]


def test_check_data_says_that_colours_of_palettes_count(tmp_path):
    report = check_data("folder", palette_folder(tmp_path), "train")
    assert report.problems == 0
    assert report.class_pixels == (8, 8, 8, 0)
    (row,) = report.warning_rows()
    assert "the colours count" in row["warning"]
    assert (row["files"], row["first"][-7:]) == (4, "000.png")


# === 0 and 255 ===


def grey(path, values):
    Image.fromarray(np.uint8(values)).save(path)
    return path


@pytest.mark.parametrize("values", [[[0, 255]], [[255, 255]]])
def test_a_grey_mask_of_0_and_255_is_refused_where_a_class_is_white(tmp_path, values):
    path = grey(tmp_path / "a.png", values)
    labels = labels_of(tmp_path, BLACK_AND_WHITE)
    with pytest.raises(AmbiguousMaskError, match=r"'road', which is white.*id 255"):
        read_mask(path, labels)
    assert read_mask(grey(path, [[0, 1]]), labels).tolist() == [[0, 1]]
    assert read_mask(grey(path, [[0, 1, 255]]), labels).tolist() == [[0, 1, 255]]


def test_0_and_255_are_refused_where_there_are_two_classes(tmp_path):
    labels = labels_of(tmp_path, "id,name,r,g,b\n0,back,0,0,0\n1,road,9,9,9\n")
    with pytest.raises(AmbiguousMaskError, match="give that class the id 255"):
        read_mask(grey(tmp_path / "a.png", [[0, 255]]), labels)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("id,name,r,g,b\n0,background,0,0,0\n255,road,255,255,255\n", [[0, 1]]),
        (BLACK_AND_WHITE + "255,ignore,,,\n", [[0, 255]]),
        (CLASSES, [[0, 255]]),  # three classes, none of them white
    ],
)
def test_0_and_255_that_are_clear(tmp_path, rows, expected):
    path = grey(tmp_path / "a.png", [[0, 255]])
    assert read_mask(path, labels_of(tmp_path, rows)).tolist() == expected


def test_0_and_255_of_a_dataset_with_a_reader_are_ids(tmp_path):
    path = grey(tmp_path / "a.png", [[0, 255]])
    assert read_mask(path, CAMVID).tolist() == [[0, 255]]
    assert read_mask(path, BDD100K).tolist() == [[0, 255]]


def test_0_and_255_end_a_training_and_are_a_problem_of_check_data(tmp_path):
    write_image(tmp_path / "images/train/a.png", (1, 2))
    (tmp_path / "masks/train").mkdir(parents=True)
    grey(tmp_path / "masks/train/a.png", [[0, 255]])
    labels_of(tmp_path, BLACK_AND_WHITE)
    (row,) = check_data("folder", tmp_path, "train").problem_rows()
    assert row["problem"] == "ambiguous mask"
    assert "save the masks as RGB" in row["detail"]
    data = load_dataset("folder", tmp_path, "train", batch_size=1, augment=False)
    with pytest.raises(Exception, match="which is white") as caught:
        next(iter(data))
    assert data_error(caught.value)


def test_one_class_is_a_problem(tmp_path):
    write_folder(tmp_path, count=1)
    labels_of(tmp_path, "id,name,r,g,b\n0,car,0,0,142\n1,ignore,,,\n")
    (row,) = check_data("folder", tmp_path, "train").problem_rows()
    assert row["problem"] == "one class"
    assert "Give the background a class" in row["detail"]


# === Equal channels, alpha, few bits ===


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_ids_in_several_channels(tmp_path, mode):
    Image.fromarray(IDS).convert(mode).save(tmp_path / "a.png")
    mask = read_mask(tmp_path / "a.png", labels_of(tmp_path))
    assert mask.tolist() == IDS.tolist()


def test_grey_colours_of_classes_are_colours(tmp_path):
    labels = labels_of(tmp_path, "id,name,r,g,b\n0,a,2,2,2\n1,b,0,0,0\n2,c,1,1,1\n")
    Image.fromarray(IDS).convert("RGB").save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png", labels).tolist() == [[1, 1, 2], [0, 0, 2]]


@pytest.mark.parametrize("void", [(2, 2, 2), (0, 0, 0)])
def test_equal_channels_with_colours_and_others_are_unknown_colours(tmp_path, void):
    rows = CLASSES + ",void,{},{},{}\n".format(*void)
    Image.fromarray(IDS).convert("RGB").save(tmp_path / "a.png")
    with pytest.raises(UnknownIdsError, match=r"colours .*\(1, 1, 1\)"):
        read_mask(tmp_path / "a.png", labels_of(tmp_path, rows))


def test_white_in_rgb_is_no_id_that_nobody_named(tmp_path):
    Image.fromarray(np.uint8([[0, 255]])).convert("RGB").save(tmp_path / "a.png")
    with pytest.raises(UnknownIdsError, match=r"colours .*\(255, 255, 255\)"):
        read_mask(tmp_path / "a.png", labels_of(tmp_path))
    labels = labels_of(tmp_path, CLASSES + "255,ignore,,,\n")
    assert read_mask(tmp_path / "a.png", labels).tolist() == [[0, 255]]


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_must_hide_nothing(tmp_path, mode):
    alpha = Image.fromarray(np.uint8([[0, 255, 255]]))
    image = Image.fromarray(np.uint8([[0, 1, 2]])).convert(mode)
    image.putalpha(alpha)
    image.save(tmp_path / "a.png")
    labels = labels_of(tmp_path)
    assert read_mask(tmp_path / "a.png", labels).tolist() == [[0, 1, 2]]
    image = Image.fromarray(np.uint8([[1, 1, 2]])).convert(mode)
    image.putalpha(alpha)
    image.save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png.*transparent pixels that store"):
        read_mask(tmp_path / "a.png", labels)


def test_several_channels_of_16_bits_are_refused(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), np.ones((2, 3, 3), np.uint16))
    with pytest.raises(DataError, match="several channels of 16 bits"):
        read_mask(tmp_path / "a.png", labels_of(tmp_path))


def few_bits(path, samples, bits):
    """Write grey of few bits; Pillow writes 1 bit only, OpenCV none."""
    import struct
    import zlib

    def chunk(name, content):
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    samples = np.uint8(samples)
    height, width = samples.shape
    rows = b""
    for row in samples:
        binary = "".join(f"{value:0{bits}b}" for value in row)
        binary = binary.ljust(-(-len(binary) // 8) * 8, "0")
        rows += b"\0" + int(binary, 2).to_bytes(len(binary) // 8, "big")
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    return path


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_samples_of_few_bits_are_ids(tmp_path, bits):
    samples = IDS % 2**bits
    path = few_bits(tmp_path / "a.png", samples, bits)
    assert read_mask(path, labels_of(tmp_path)).tolist() == samples.tolist()


def test_one_bit_of_pillow(tmp_path):
    Image.fromarray(IDS > 0).save(tmp_path / "a.png")
    Image.fromarray(IDS > 0).save(tmp_path / "a.bmp")
    for suffix in ("png", "bmp"):
        mask = read_mask(tmp_path / f"a.{suffix}", labels_of(tmp_path))
        assert mask.tolist() == (IDS > 0).astype(int).tolist()


def test_few_bits_that_were_ids_of_eight(tmp_path):
    labels = labels_of(tmp_path, "id,name,r,g,b\n0,a,1,1,1\n85,b,2,2,2\n255,c,3,3,3\n")
    path = few_bits(tmp_path / "a.png", [[0, 1, 3]], 2)
    assert read_mask(path, labels).tolist() == [[0, 1, 2]]


def test_one_bit_of_black_and_white_classes(tmp_path):
    labels = labels_of(tmp_path, BLACK_AND_WHITE)
    path = few_bits(tmp_path / "a.png", [[0, 1]], 1)
    assert read_mask(path, labels).tolist() == [[0, 1]]
    swapped = "id,name,r,g,b\n0,road,255,255,255\n1,background,0,0,0\n"
    with pytest.warns(DataWarning, match="the colours count"):
        assert read_mask(path, labels_of(tmp_path, swapped)).tolist() == [[1, 0]]


def test_one_bit_is_ambiguous_where_1_and_255_have_a_meaning(tmp_path):
    path = few_bits(tmp_path / "a.png", [[0, 1]], 1)
    labels = labels_of(tmp_path, CLASSES + "255,ignore,,,\n")
    with pytest.raises(AmbiguousMaskError, match=r"as 0, 1 or as 0, 255.* 8 bits"):
        read_mask(path, labels)
    with pytest.raises(AmbiguousMaskError, match="8 bits"):
        read_mask(path, CAMVID)


def test_unknown_samples_of_few_bits_are_named(tmp_path):
    path = few_bits(tmp_path / "a.png", [[0, 9]], 4)
    with pytest.raises(UnknownIdsError, match=r"ids .*: 9"):
        read_mask(path, labels_of(tmp_path))
