"""Annotation files that are broken or hostile: one line, and nothing written."""

import contextlib

import numpy as np
import pytest
from annotation_files import (
    SIZE,
    coco,
    cvat,
    image,
    labelme,
    labelme_mask,
    ring,
    written,
)

from keras_frm import masks_from_annotations
from keras_frm.data.annotations.annotated import image_name
from keras_frm.data.annotations.coco import uncompressed
from keras_frm.data.annotations.reading import read_annotations
from keras_frm.files import DataError

SQUARE = ring(0, 0, 2, 2)


def refused(path, *words):
    """Return the line that refuses a file; it names the file and these words."""
    with pytest.raises(DataError) as caught:
        read_annotations(path)
    line = str(caught.value)
    assert str(path) in line
    assert "\n" not in line
    assert len(line) < 500
    for word in words:
        assert word in line
    return line


# === Formats ===


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("hello", ["no annotation file of a known format", "LabelMe", "COCO", "CVAT"]),
        ('{"a": 1}', ["no annotation file of a known format"]),
        ("[1, 2]", ["no annotation file of a known format"]),
        ('{"images": [', ["no JSON"]),
        ("[" * 100_000, ["nested too deeply"]),
        ('{"images": [], "annotations": []}', ["'categories' is missing"]),
        ("<html></html>", ["its root is 'html'"]),
        ("<annotations><image>", ["line 1"]),
        ("PK\3\4....", ["unpack it"]),
    ],
)
def test_other_content_is_refused(tmp_path, content, words):
    refused(written(tmp_path / "a.json", content), *words)


def test_the_content_and_not_the_name_tells_the_format(tmp_path):
    read = read_annotations(coco(tmp_path / "a.xml", [(1, [SQUARE])]))
    assert len(read.images) == 1
    box = '<box label="car" xtl="0" ytl="0" xbr="2" ybr="2"/>'
    content = cvat(tmp_path / "a.json", [box]).read_text()
    assert len(read_annotations(tmp_path / "a.json").images[0].shapes) == 1
    wide = content.replace("utf-8", "utf-16").encode("utf-16")
    (tmp_path / "wide").write_bytes(wide)
    assert len(read_annotations(tmp_path / "wide").images[0].shapes) == 1
    marked = b"\xef\xbb\xbf" + coco(tmp_path / "b", [(1, [SQUARE])]).read_bytes()
    (tmp_path / "marked").write_bytes(marked)
    assert len(read_annotations(tmp_path / "marked").images) == 1


def test_folders_hold_labelme_alone(tmp_path):
    with pytest.raises(DataError, match=r"holds no JSON file\. Known are COCO"):
        read_annotations(tmp_path)
    labelme(tmp_path / "a.json", [])
    coco(tmp_path / "b.json", [])
    with pytest.raises(DataError, match=r"b\.json' is no file of LabelMe"):
        read_annotations(tmp_path)


# === Values ===

NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        ([[0, 0, NAN, 2, 3, 3]], "no place in an image"),
        ([[0, 0, -INFINITY, 2, 3, 3]], "no place in an image"),
        ([[0, 0, 1e300, 2, 3, 3]], "no place in an image"),
        ([[0, 0, 10**400, 2, 3, 3]], "huge number"),
        ([["0", "0", "1", "1", "2", "0"]], "'0', which is no number"),
        ([[0, 0, None, 2, 3, 3]], "missing, which is no number"),
        ([[0, 0, True, 2, 3, 3]], "True, which is no number"),
        ([[0, 0, 1, 2, 3]], "not pairs"),
        ([[[0, 0, 1]]], "not pairs"),
        ([0, 0, 1, 2, 3, 3], "no list of polygons"),
        ("polygon", "'polygon'"),
        ({"size": [12], "counts": []}, "its 'size'"),
        ({"size": [12, 16, 3], "counts": []}, "its 'size'"),
        ({"size": [9, 9], "counts": [81]}, "9x9 pixels and its image is 16x12"),
        ({"size": [12, 16], "counts": [1]}, "are of 1 pixels, not 16x12"),
        ({"size": [12, 16], "counts": [-1, 193]}, "does not fit"),
        ({"size": [12, 16], "counts": [2**62, 2**62]}, "does not fit"),
        ({"size": [12, 16], "counts": [2**70]}, "huge number"),
        ({"size": [12, 16], "counts": [1.5]}, "1.5, which is no number"),
        ({"size": [12, 16], "counts": "\x00"}, "no compressed runs"),
        ({"size": [12, 16], "counts": "ü"}, "no compressed runs"),
        ({"size": [12, 16], "counts": "o" * 30 + "0"}, "beyond any image"),
        ({"size": [12, 16], "counts": ""}, "no compressed runs"),
    ],
)
def test_broken_segmentations_of_coco(tmp_path, segmentation, words):
    path = coco(tmp_path / "a.json", [(1, [SQUARE]), (1, segmentation)])
    refused(path, "COCO instances: annotation 11: ", words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"categories": [{"id": 1}]}, "'name' is missing"),
        ({"categories": [{"id": "1", "name": "car"}]}, "'1', which is no number"),
        ({"categories": [{"id": 1.5, "name": "car"}]}, "no whole number"),
        (
            {"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]},
            "'a' and 'b' have one id",
        ),
        ({"categories": [{"id": 1, "name": "a\nb"}]}, "cannot be printed"),
        ({"categories": [{"id": 1, "name": "\ud800"}]}, "cannot be printed"),
        ({"categories": [[]]}, "a list"),
        ({"images": {}}, "'images' is an object, which is no list"),
        ({"images": [{"id": 0}]}, "'file_name' is missing"),
        ({"images": [{"id": None, "file_name": "a.png"}]}, "id of an image is missing"),
        ({"images": [{"id": 0, "file_name": "a.png"}] * 2}, "two images have the id 0"),
        ({"annotations": [7]}, "annotation at 0: it is 7, which is no object"),
        ({"annotations": [{"id": 3, "image_id": 9}]}, "annotation 3: 'images' has no"),
        (
            {"annotations": [{"image_id": 0, "category_id": 9}]},
            "'categories' has no id 9",
        ),
        ({"annotations": [{"image_id": 0, "segments_info": []}]}, "panoptic"),
    ],
)
def test_broken_tables_of_coco(tmp_path, changes, words):
    refused(coco(tmp_path / "a.json", [(1, [SQUARE])], **changes), words)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((0, 5), "its size is 5x0"),
        ((10**6, 10**6), "over the limit"),
        ((10**12, 1), "no place in an image"),
        (("12", 16), "'12', which is no number"),
        ((12, None), "width is missing"),
    ],
)
def test_sizes_no_image_has(tmp_path, size, words):
    entry = {"id": 0, "file_name": "a.png", "height": size[0], "width": size[1]}
    refused(coco(tmp_path / "a.json", [], images=[entry]), "image 'a.png'", words)
    refused(labelme(tmp_path / "b.json", [], size=size), words)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ({"label": 3, "points": []}, "'label' is 3"),
        ({"label": " ", "points": []}, "no text"),
        ({"label": "car", "points": {}}, "an object"),
        ({"label": "car", "points": [[0, 0], [1, NAN], [2, 2]]}, "no place"),
        ({"label": "car", "points": [[0, 0], ["1", 1], [2, 2]]}, "'1'"),
        ({"label": "car", "points": [[0, 0], [1]]}, "not pairs"),
        ({"label": "car", "shape_type": "mask", "points": [[0, 0]]}, "1 points"),
        (
            {"label": "car", "shape_type": "mask", "points": [[0, 0], [1, 1]]},
            "'mask' is missing",
        ),
        (7, "an object belongs it has 7"),
    ],
)
def test_broken_shapes_of_labelme(tmp_path, shape, words):
    first = ("car", "rectangle", [[0, 0], [1, 1]])
    refused(labelme(tmp_path / "a.json", [first, shape]), "LabelMe: shape 1: ", words)


@pytest.mark.parametrize(
    ("corners", "change", "words"),
    [
        ([[0, 0], [5, 5]], {}, "3x2 and its points say 6x6"),
        ([[0, 0], [1e7, 1e7]], {}, "over the limit"),
        ([[0, 0], [2, 1]], {"mask": "####"}, "not base64"),
        ([[0, 0], [2, 1]], {"mask": "aGVsbG8="}, "no PNG"),
    ],
)
def test_broken_bitmaps_of_labelme(tmp_path, corners, change, words):
    shape = labelme_mask("car", corners, np.ones((2, 3)), tmp_path) | change
    refused(labelme(tmp_path / "a.json", [shape]), words)


def test_a_damaged_bitmap_of_labelme(tmp_path):
    shape = labelme_mask("car", [[0, 0], [2, 1]], np.ones((2, 3)), tmp_path)
    shape["mask"] = shape["mask"][:52]  # the header is whole
    refused(labelme(tmp_path / "a.json", [shape]), "damaged PNG")


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ('<box label="car" xtl="0" ytl="0" xbr="2"/>', "'ybr' is missing"),
        ('<box label="car" xtl="nan" ytl="0" xbr="2" ybr="2"/>', "no number"),
        ('<box xtl="0" ytl="0" xbr="2" ybr="2"/>', "label of a box is missing"),
        ('<polygon label="car" points="0,0;a,1;2,2"/>', "'a', which is no number"),
        ('<polygon label="car" points="0,0;1;2,2"/>', "not pairs"),
        ('<polygon label="car"/>', "no number"),
        (
            '<mask label="car" rle="1" left="0" top="0" width="2" height="2"/>',
            "are of 1 pixels, not 2x2",
        ),
        (
            '<mask label="car" rle="x" left="0" top="0" width="2" height="2"/>',
            "no list of whole numbers",
        ),
        (
            '<mask label="car" rle="9" left="0" top="0" width="99999" height="99999"/>',
            "over the limit",
        ),
        ('<polygon label="car" points="0,0;1,1;2,2" z_order="x"/>', "'z_order'"),
    ],
)
def test_broken_shapes_of_cvat(tmp_path, shape, words):
    refused(cvat(tmp_path / "a.xml", [shape]), "CVAT for images 1.1: line 2: ", words)


def test_cvat_for_video_is_named(tmp_path):
    text = '<annotations><track label="car"></track></annotations>'
    refused(written(tmp_path / "a.xml", text), "CVAT for video", "export it as")


# === Hostile files ===


@pytest.mark.parametrize(
    "declared",
    [
        '<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">',
        '<!ENTITY a SYSTEM "file:///etc/passwd">',
        "",
    ],
)
def test_xml_with_a_document_type_is_refused(tmp_path, declared):
    start = f"<!DOCTYPE annotations [{declared}]>"
    refused(cvat(tmp_path / "a.xml", [], start=start), "declares a document type")


def test_deep_xml_is_read_without_recursion(tmp_path):
    path = cvat(tmp_path / "a.xml", ["<tag label='car'>" + "<a>" * 10**5])
    refused(path, "line 2")


@pytest.mark.parametrize(
    "name",
    [
        "../a.png",
        "b/../../a.png",
        "/etc/a.png",
        "C:\\a.png",
        "..\\a.png",
        "\\\\h\\s\\a",
    ],
)
def test_names_that_leave_the_folder_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="leads out of the folder"):
        image_name(name)
    refused(coco(tmp_path / "a.json", [], files=(name,)), "leads out of the folder")
    refused(cvat(tmp_path / "a.xml", [], name=name), "leads out of the folder")


@pytest.mark.parametrize("name", ["", ".", "a\0.png", "a\n.png", "a" * 5000])
def test_names_that_are_none_are_refused(tmp_path, name):
    refused(coco(tmp_path / "a.json", [], files=(name,)))


@pytest.mark.parametrize("name", ["/etc/a.png", "C:\\photos\\a.png", ""])
def test_image_paths_of_labelme(tmp_path, name):
    refused(labelme(tmp_path / "a.json", [], image=name), "'imagePath'")


def test_nothing_is_written_outside(tmp_path):
    """An image above LabelMe's folder is read, and its pair is in the dataset."""
    image(tmp_path)
    path = labelme(
        tmp_path / "deep/labels/a.json",
        [("car", "rectangle", [[0, 0], [2, 2]])],
        image="../../a.png",
    )
    before = set(tmp_path.rglob("*"))
    masks_from_annotations({"train": path}, tmp_path / "deep/out")
    new = set(tmp_path.rglob("*")) - before
    assert all(p.is_relative_to(tmp_path / "deep/out") for p in new)


@pytest.mark.parametrize("split", ["../train", "a/b", "", ".", "..", ".git"])
def test_splits_are_names_of_folders(tmp_path, split):
    path = coco(tmp_path / "a.json", [(1, [SQUARE])])
    with pytest.raises(ValueError, match="no name of a split"):
        masks_from_annotations({split: path}, tmp_path / "out")


def test_a_long_text_among_numbers_takes_no_memory(tmp_path):
    numbers = [1] * 100_000 + ["9" * 10**6]  # 400 GB as an array of texts
    refused(coco(tmp_path / "a.json", [(1, [numbers])]), "which is no number")


def test_compressed_runs_of_many_sizes():
    random = np.random.default_rng(0)
    for length in (1, 2, 3, 4, 50):
        counts = random.integers(0, 10**6, length)
        np.testing.assert_array_equal(uncompressed(compressed(counts)), counts)


def compressed(counts):
    """Write runs as COCO does, number by number: the rleToString of its C code."""
    text = ""
    for n, count in enumerate(counts):
        value = int(count) - (int(counts[n - 2]) if n > 2 else 0)
        more = True
        while more:
            five = value & 31
            value >>= 5
            more = value != (-1 if five & 16 else 0)
            text += chr(48 + (five | 32 * more))
    return text


def test_damaged_files_are_refused_or_read(tmp_path):
    """Whatever bytes change: a named error, or a report."""
    image(tmp_path)
    runs = {"size": SIZE, "counts": [10, 20, 162]}
    painted = labelme_mask("car", [[0, 0], [2, 1]], np.ones((2, 3)), tmp_path)
    files = [
        coco(tmp_path / "coco", [(1, [SQUARE]), (2, runs)]),
        labelme(tmp_path / "labelme", [("car", "circle", [[5, 5], [7, 7]]), painted]),
        cvat(
            tmp_path / "cvat",
            ['<ellipse label="car" cx="5" cy="5" rx="2" ry="3" rotation="9"/>'],
        ),
    ]
    random = np.random.default_rng(0)
    for n in range(300):
        content = bytearray(files[n % 3].read_bytes())
        for _ in range(random.integers(1, 4)):
            content[random.integers(len(content))] = random.choice(list(b'0-9e"[]{}<;'))
        (tmp_path / "damaged").write_bytes(content)
        with contextlib.suppress(DataError):
            masks_from_annotations(
                {"train": tmp_path / "damaged"}, tmp_path / "out", images=tmp_path
            )
