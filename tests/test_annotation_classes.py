"""Which ids the classes of annotations get, and which classes are refused."""

import numpy as np
import pytest
from annotation_files import box_mask, coco, converted, image, mask_of, ring, written

from keras_frm import masks_from_annotations
from keras_frm.data.class_file import read_class_file
from keras_frm.data.folder import find_pairs
from keras_frm.files import DataError


@pytest.fixture
def out(tmp_path):
    return tmp_path / "street"


def test_unlabelled_pixels_may_be_ignored(tmp_path, out):
    image(tmp_path)
    shapes = [(1, [ring(0, 0, 2, 2)]), (2, [ring(4, 4, 6, 6)])]
    path = coco(tmp_path / "a.json", shapes)
    report = converted(path, out, unlabelled="ignore")
    assert report.labels.classes == ("car", "road")
    expected = box_mask((0, 0, 16, 12, 255), (0, 0, 2, 2, 0), (4, 4, 6, 6, 1))
    np.testing.assert_array_equal(mask_of(out), expected)
    listing = find_pairs(out, "train")
    np.testing.assert_array_equal(listing.read(listing.pairs[0])[1], expected)
    assert report.class_pixels == (4, 4, 12 * 16 - 8)


def test_one_class_with_the_rest_ignored_is_refused(tmp_path, out):
    image(tmp_path)
    path = coco(tmp_path / "a.json", [(1, [ring(0, 0, 2, 2)])], names=("car",))
    with pytest.raises(DataError, match="With one class"):
        converted(path, out, unlabelled="ignore")
    assert not out.exists()
    assert converted(path, out).labels.classes == ("background", "car")


def test_splits_get_one_table(tmp_path, out):
    image(tmp_path)
    train = coco(tmp_path / "t.json", [(1, [ring(0, 0, 2, 2)])], names=("car", "sky"))
    val = coco(tmp_path / "v.json", [(1, [ring(0, 0, 2, 2)])], names=("tree", "car"))
    report = masks_from_annotations({"train": train, "val": [val]}, out)
    assert report.labels.classes == ("background", "car", "sky", "tree")
    assert mask_of(out).max() == 1
    assert mask_of(out, split="val").max() == 3


def test_a_later_split_keeps_the_ids(tmp_path, out):
    image(tmp_path)
    both = [(1, [ring(0, 0, 2, 2)]), (2, [ring(4, 4, 6, 6)])]
    converted(coco(tmp_path / "t.json", both), out)
    before = (out / "classes.csv").read_bytes()
    val = coco(tmp_path / "v.json", [(1, [ring(0, 0, 2, 2)])], names=("road", "car"))
    masks_from_annotations({"val": val}, out)
    assert mask_of(out, split="val").max() == 2
    assert (out / "classes.csv").read_bytes() == before
    new = coco(tmp_path / "n.json", [(1, [ring(0, 0, 2, 2)])], names=("tram",))
    with pytest.raises(DataError, match=r"no class 'tram'.*background, car, road"):
        masks_from_annotations({"test": new}, out)


def test_a_class_file_gives_the_ids(tmp_path, out):
    image(tmp_path)
    table = "id,name,r,g,b\n9,road,1,2,3\n4,Background,0,0,0\n7,car,4,5,6\n"
    written(tmp_path / "own.csv", table)
    shapes = [(1, [ring(0, 0, 2, 2)]), (2, [ring(4, 4, 6, 6)])]
    path = coco(tmp_path / "a.json", shapes, names=("car", "road", "unused"))
    report = converted(path, out, class_file=tmp_path / "own.csv")
    expected = box_mask((0, 0, 16, 12, 4), (0, 0, 2, 2, 7), (4, 4, 6, 6, 9))
    np.testing.assert_array_equal(mask_of(out), expected)
    assert report.labels.classes == ("road", "Background", "car")
    listing = find_pairs(out, "train")
    assert (listing.read(listing.pairs[0])[1] == 0).sum() == 4
    written(tmp_path / "other.csv", table.replace("9,road", "8,road"))
    with pytest.raises(DataError, match=r"other classes or ids.*one table"):
        converted(path, out, class_file=tmp_path / "other.csv")


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ("0,car,1,2,3", {}, "no class 'background'"),
        ("0,background,0,0,0\n1,Car,1,2,3", {}, "no class 'car', which"),
        ("0,background,0,0,0\n300,car,1,2,3", {}, "'car' an id over 254"),
        ("1,road,0,0,0", {"unlabelled": "ignore"}, "no class 'car'"),
    ],
)
def test_class_files_that_do_not_fit(tmp_path, out, rows, options, message):
    image(tmp_path)
    path = coco(tmp_path / "a.json", [(1, [ring(0, 0, 2, 2)])])
    file = written(tmp_path / "own.csv", f"id,name,r,g,b\n{rows}\n")
    with pytest.raises(DataError, match=message):
        converted(path, out, class_file=file, **options)
    assert not out.exists()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("car", "Car"), "'car' and 'Car' differ in case"),
        (("wet  road", "wet road"), "differ in case or spaces"),
        ([f"c{n}" for n in range(255)], "256 classes .* room for 255"),
        (("c" * 300, "d"), "too long"),
        ((), "name no class"),
    ],
)
def test_names_that_make_no_table(tmp_path, out, names, message):
    image(tmp_path)
    with pytest.raises(DataError, match=message):
        converted(coco(tmp_path / "a.json", [], names=names), out)
    assert not out.exists()


def test_the_largest_table_can_be_read(tmp_path, out):
    image(tmp_path)
    names = [f"{n:03d}, ä" + "ö" * 90 for n in range(254)]
    path = coco(tmp_path / "a.json", [(254, [ring(0, 0, 2, 2)])], names=names)
    assert converted(path, out).labels.num_classes == 255
    labels = read_class_file(out / "classes.csv")
    assert labels.classes[1:] == tuple(names)
    assert mask_of(out).max() == 254
