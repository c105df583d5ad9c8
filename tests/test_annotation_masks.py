"""Masks from COCO, LabelMe and CVAT: what is filled, and over what."""

import numpy as np
import pytest
from annotation_files import (
    SIZE,
    box_mask,
    coco,
    converted,
    cvat,
    image,
    kinds,
    labelme,
    labelme_mask,
    mask_of,
    ring,
)

from keras_frm.data.class_file import read_class_file
from keras_frm.data.folder import find_pairs

CAR, ROAD = 1, 2  # of COCO's files here, behind the background


@pytest.fixture
def out(tmp_path):
    return tmp_path / "street"


# === COCO ===


# What pycocotools 2.0.11 writes for box_mask((3, 2, 9, 7, 1)).
COMPRESSED = "V157000000000b2"


def test_coco_polygons_and_runs(tmp_path, out):
    image(tmp_path)
    square = box_mask((3, 2, 9, 7, 1))
    flat = np.concatenate([[0], square.T.ravel()])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    lengths = np.diff(changes, prepend=0, append=square.size).tolist()
    for counts in (lengths, COMPRESSED):
        runs = {"size": SIZE, "counts": counts}
        crowd = {"image_id": 0, "category_id": 1, "segmentation": runs, "iscrowd": 1}
        path = coco(tmp_path / "runs.json", [crowd])
        report = converted(path, out)
        np.testing.assert_array_equal(mask_of(out), square)
        assert not report.problems
    path = coco(tmp_path / "polygon.json", [(1, [ring(3, 2, 9, 7)])])
    assert not converted(path, out).problems  # the mask is there and is the same


def test_coco_polygons_are_a_union_and_no_holes(tmp_path, out):
    image(tmp_path)
    path = coco(tmp_path / "a.json", [(1, [ring(1, 1, 9, 9), ring(3, 3, 6, 6)])])
    converted(path, out)
    np.testing.assert_array_equal(mask_of(out), box_mask((1, 1, 9, 9, CAR)))


@pytest.mark.parametrize("order", [1, -1])
def test_coco_smaller_areas_lie_on_top(tmp_path, out, order):
    image(tmp_path)
    shapes = [(2, [ring(0, 0, 16, 12)]), (1, [ring(4, 4, 8, 8)])][::order]
    converted(coco(tmp_path / "a.json", shapes), out)
    expected = box_mask((0, 0, 16, 12, ROAD), (4, 4, 8, 8, CAR))
    np.testing.assert_array_equal(mask_of(out), expected)


def test_coco_ids_follow_the_order_of_categories(tmp_path, out):
    image(tmp_path)
    categories = [{"id": 90, "name": "sky"}, {"id": 7, "name": "car"}]
    shapes = [(90, [ring(0, 0, 2, 2)]), (7, [ring(4, 4, 6, 6)])]
    converted(coco(tmp_path / "a.json", shapes, categories=categories), out)
    labels = read_class_file(out / "classes.csv")
    assert labels.classes == ("background", "car", "sky")
    expected = box_mask((0, 0, 2, 2, 2), (4, 4, 6, 6, 1))
    np.testing.assert_array_equal(mask_of(out), expected)


def test_parts_outside_are_cut_off(tmp_path, out):
    image(tmp_path)
    path = coco(tmp_path / "a.json", [(1, [ring(-5, -3.5, 4, 3)])])
    converted(path, out)
    np.testing.assert_array_equal(mask_of(out), box_mask((0, 0, 4, 3, CAR)))


def test_what_coco_cannot_fill_is_named(tmp_path, out):
    image(tmp_path)
    shapes = [
        (1, [[1, 1, 5, 5]]),
        (1, []),
        (1, [ring(20, 1, 30, 5)]),
        (1, [[1, 1, 5, 5], ring(0, 0, 2, 2)]),
    ]
    report = converted(coco(tmp_path / "a.json", shapes), out)
    problems, notes = kinds(report)
    assert problems == ["polygon of less than 3 points", "no polygon, at most a box"]
    assert notes == ["shape without a pixel", "class without pixels"]
    assert "annotation 10" in report.problem_rows()[0]["detail"]
    np.testing.assert_array_equal(mask_of(out), box_mask((0, 0, 2, 2, CAR)))


# === LabelMe ===


def test_labelme_shapes(tmp_path, out):
    folder = tmp_path / "labels"
    image(folder)
    painted = labelme_mask("sky", [[8, 1], [10, 2]], [[0, 1, 1], [1, 0, 1]], tmp_path)
    shapes = [
        ("road", "polygon", [[0, 6], [16, 6], [16, 12], [0, 12]]),
        ("car", "rectangle", [[6, 9], [2, 7]]),
        painted,
    ]
    labelme(folder / "a.json", shapes)
    report = converted(folder, out)
    assert not report.problems
    assert report.labels.classes == ("background", "car", "road", "sky")
    expected = box_mask((0, 6, 16, 12, 2), (2, 7, 6, 9, 1))
    expected[1:3, 8:11][np.array([[0, 1, 1], [1, 0, 1]]) == 1] = 3
    np.testing.assert_array_equal(mask_of(out), expected)


def test_labelme_later_shapes_lie_on_top(tmp_path, out):
    image(tmp_path)
    shapes = [
        ("car", "rectangle", [[2, 2], [6, 6]]),
        ("road", "rectangle", [[0, 0], [16, 12]]),
    ]
    converted(labelme(tmp_path / "a.json", shapes), out)
    assert (mask_of(out) == 2).all()


def test_labelme_circle_and_meanings(tmp_path, out):
    image(tmp_path)
    shapes = [
        ("car", "circle", [[8, 6], [12, 6]]),
        ("_background_", "rectangle", [[0, 0], [16, 6]]),
        ("__ignore__", "rectangle", [[0, 10], [16, 12]]),
    ]
    report = converted(labelme(tmp_path / "a.json", shapes), out)
    mask = mask_of(out)
    assert report.labels.classes == ("background", "car")
    assert (mask[:6] == 0).all()
    assert (mask[10:] == 255).all()
    assert (mask == 1).sum() == pytest.approx(np.pi * 8, rel=0.1)


def test_what_labelme_cannot_fill_is_named(tmp_path, out):
    image(tmp_path)
    shapes = [
        ("car", "linestrip", [[1, 1], [2, 2]]),
        ("car", "point", [[1, 1]]),
        ("car", "cuboid", [[1, 1]]),
        ("car", "polygon", [[1, 1], [2, 2]]),
        ("car", None, [[0, 0], [4, 0], [4, 4]]),
    ]
    problems, notes = kinds(converted(labelme(tmp_path / "a.json", shapes), out))
    assert problems == [
        "unknown kind of shape",
        "polygon of too few or too many points",
    ]
    assert notes == ["shape without area"] * 2


def test_labelme_masks_are_named_as_the_json(tmp_path, out):
    """An image may be elsewhere, and two of a name in two folders."""
    for n in (1, 2):
        image(tmp_path / f"photos/cam{n}")
        shapes = [("car", "rectangle", [[0, 0], [n, 1]])]
        path = f"..\\..\\photos\\cam{n}\\a.png"
        labelme(tmp_path / f"labels/cam{n}/a.json", shapes, image=path)
    report = converted(tmp_path / "labels", out)
    assert report.pairs == 2
    for n in (1, 2):
        assert mask_of(out, f"cam{n}/a").sum() == n
    assert len(find_pairs(out, "train").pairs) == 2


def test_labelme_takes_no_image_of_another_folder(tmp_path, out):
    shapes = [("car", "rectangle", [[0, 0], [2, 2]])]
    for name in ("labels/a.json", "labels/cam1/a.json", "labels/cam1/b.json"):
        labelme(tmp_path / name, shapes, image="a.png")
    image(tmp_path / "photos", value=1)
    image(tmp_path / "photos/cam1", value=2)
    image(tmp_path / "photos/cam1", "b.png", value=3)
    converted(tmp_path / "labels", out, images=tmp_path / "photos")
    listing = find_pairs(out, "train")
    values = [listing.read(pair)[0].max() for pair in listing.pairs]
    assert values == [1, 2, 2]  # b.json says a.png


# === CVAT ===


def test_cvat_shapes_by_z_order(tmp_path, out):
    image(tmp_path)
    shapes = [
        '<box label="car" xtl="2" ytl="2" xbr="6" ybr="5" z_order="2"/>',
        '<polygon label="road" points="0,0;16,0;16,4;0,4" z_order="1">'
        '<attribute name="wet">no</attribute></polygon>',
        '<mask label="car" rle="1, 2, 1" left="8" top="6" width="2" height="2"/>',
        '<ellipse label="road" cx="13" cy="9" rx="2" ry="2"/>',
        '<polyline label="road" points="0,0;5,5"/>',
        '<tag label="road"/>',
        '<cuboid label="car" xtl1="1"/>',
        '<polygon label="car" points="0,0;5,5"/>',
    ]
    report = converted(cvat(tmp_path / "annotations.xml", shapes), out)
    assert report.labels.classes == ("background", "road", "car")
    expected = box_mask((0, 0, 16, 4, 1), (2, 2, 6, 5, 2))
    expected[6, 9] = expected[7, 8] = 2
    mask = mask_of(out)
    np.testing.assert_array_equal(mask[:8, :11], expected[:8, :11])
    assert (mask[6:, 11:] == 1).sum() == 12
    problems, notes = kinds(report)
    assert problems == ["unknown kind of shape", "polygon of less than 3 points"]
    assert notes == ["shape without area"] * 2


def test_cvat_boxes_turn_clockwise(tmp_path, out):
    image(tmp_path)
    box = '<box label="car" xtl="3" ytl="5" xbr="13" ybr="7" rotation="{}"/>'
    converted(cvat(tmp_path / "a.xml", [box.format(90)]), out)
    np.testing.assert_array_equal(mask_of(out), box_mask((7, 1, 9, 11, 2)))
