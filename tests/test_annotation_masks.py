"""Masks from COCO, LabelMe and CVAT: what is filled, over what, and with which ids."""

import cv2
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
from PIL import Image

from keras_frm import masks_from_annotations
from keras_frm.data.annotations.shapes import Polygon, ellipse
from keras_frm.data.class_file import read_class_file
from keras_frm.data.folder import find_pairs
from keras_frm.files import DataError

CAR, ROAD = 1, 2  # of COCO's files here, behind the background


@pytest.fixture
def out(tmp_path):
    return tmp_path / "street"


def mask_of(out, name="a", split="train"):
    with Image.open(out / f"masks/{split}/{name}.png") as stored:
        assert stored.mode == "L"
        return np.array(stored)


def box_mask(*boxes):
    """Return a mask of (left, top, right, bottom, id), a later one on top."""
    mask = np.zeros(SIZE, np.uint8)
    for left, top, right, bottom, value in boxes:
        mask[top:bottom, left:right] = value
    return mask


def converted(path, out, **options):
    return masks_from_annotations({"train": path}, out, **options)


def kinds(report):
    notes = [row["note"] for row in report.note_rows()]
    return [row["problem"] for row in report.problem_rows()], notes


# === Filling ===


def test_a_pixel_is_inside_where_its_centre_is():
    mask = np.zeros((4, 6), np.uint8)
    corners = np.array([[0.5, 0.6], [4.5, 0.6], [4.5, 2.4], [0.5, 2.4]])
    assert Polygon("car", (corners,)).fill(mask, 1) == 4
    assert np.argwhere(mask).tolist() == [[1, 0], [1, 1], [1, 2], [1, 3]]


def test_filling_agrees_with_the_centre_of_each_pixel():
    random = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(40) + 0.5, np.arange(30) + 0.5)
    for _ in range(20):
        corners = random.uniform(-8, 45, (7, 2))  # crosses itself and the border
        mask = np.zeros((30, 40), np.uint8)
        Polygon("car", (corners,)).fill(mask, 1)
        inside = np.zeros((30, 40), bool)
        for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, 0), strict=True):
            crossed = (ay <= y) != (by <= y)
            inside ^= crossed & (x >= ax + (y - ay) * (bx - ax) / (by - ay))
        np.testing.assert_array_equal(mask, inside)


def test_neighbours_share_no_pixel_and_leave_none():
    top = np.array([[0, 0], [40, 0], [40, 11.3], [0, 17.7]])
    bottom = np.array([[0, 17.7], [40, 11.3], [40, 30], [0, 30]])
    mask = np.zeros((30, 40), np.uint8)
    counts = [
        Polygon("car", (r,)).fill(mask, n) for n, r in enumerate((top, bottom), 1)
    ]
    assert sum(counts) == mask.size
    assert mask.all()


def test_bands_change_nothing(monkeypatch):
    corners = np.random.default_rng(1).uniform(-5, 45, (9, 2))
    masks = []
    for band in (1 << 22, 1):
        monkeypatch.setattr("keras_frm.data.annotations.shapes._BAND", band)
        masks.append(np.zeros((30, 40), np.uint8))
        Polygon("car", (corners,)).fill(masks[-1], 1)
    np.testing.assert_array_equal(*masks)


def test_an_ellipse_has_its_area_and_turns_clockwise():
    mask = np.zeros((100, 100), np.uint8)
    count = Polygon("car", (ellipse((50, 50), (40, 10), 90),)).fill(mask, 1)
    assert count == pytest.approx(np.pi * 400, rel=0.01)
    assert mask[12, 50]
    assert not mask[50, 12]
    mask[:] = 0
    Polygon("car", (ellipse((50, 50), (40, 4), 45),)).fill(mask, 1)
    assert mask[70, 70]  # down and to the right
    assert not mask[70, 30]


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


# === Classes ===


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
    assert mask_of(out, split="val").max() == ROAD
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


# === Images ===


def test_the_folder_is_read_as_it_was_written(tmp_path, out):
    for name in ("a.png", "deep/a.png"):
        image(tmp_path / "photos", name)
    shapes = [(1, [ring(0, 0, 2, 2)]), (2, [ring(4, 4, 6, 6)])]
    files = ("a.png", "deep/a.png")
    path = coco(tmp_path / "a.json", shapes, files=files)
    report = converted(path, out, images=tmp_path / "photos")
    assert kinds(report) == ([], ["image without shapes"])
    listing = find_pairs(out, "train")
    assert listing.labels.classes == report.labels.classes
    assert listing.labels.palette == report.labels.palette
    assert len(listing.pairs) == 2
    pixels, mask = listing.read(listing.pairs[0])
    assert (pixels == 100).all()
    np.testing.assert_array_equal(mask, mask_of(out))
    assert (out / "images/train/a.png").is_symlink()


def test_images_that_are_in_place_stay(tmp_path, out):
    kept = image(out / "images/train")
    path = coco(tmp_path / "a.json", [(1, [ring(0, 0, 2, 2)])])
    converted(path, out)
    assert not kept.is_symlink()
    assert (out / "masks/train/a.png").exists()


def test_without_links_images_are_copied(tmp_path, out, monkeypatch):
    def refuse(*_):
        raise OSError("no privilege")

    monkeypatch.setattr("pathlib.Path.symlink_to", refuse)
    image(tmp_path)
    converted(coco(tmp_path / "a.json", [(1, [ring(0, 0, 2, 2)])]), out)
    copied = out / "images/train/a.png"
    assert not copied.is_symlink()
    assert copied.read_bytes() == (tmp_path / "a.png").read_bytes()


def test_images_that_make_no_pair_are_named(tmp_path, out):
    image(tmp_path)
    image(tmp_path, "small.png", (6, 8))
    written(tmp_path / "text.png", "text")
    written(tmp_path / "b.gif", "GIF89a")
    image(tmp_path, ".hidden.png")
    files = ("a.png", "small.png", "gone.png", "text.png", "b.gif", ".hidden.png")
    path = coco(tmp_path / "a.json", [(1, [ring(0, 0, 2, 2)])], files=files)
    report = converted(path, out)
    rows = {row["file"]: row["problem"] for row in report.problem_rows()}
    assert rows == {
        "small.png": "size mismatch",
        "gone.png": "no image",
        "text.png": "unreadable",
        "b.gif": "not a name of an image",
        ".hidden.png": "hidden image",
    }
    assert report.pairs == 1
    assert len(find_pairs(out, "train").pairs) == 1


@pytest.mark.parametrize(
    ("tag", "size", "stored"),
    [(6, (16, 12), SIZE), (3, SIZE, SIZE), (8, (9, 9), (9, 9))],
)
def test_turned_images_are_left_out(tmp_path, out, tag, size, stored):
    exif = Image.Exif()
    exif[274] = tag
    Image.new("RGB", stored[::-1]).save(tmp_path / "a.jpg", exif=exif)
    image(tmp_path, "b.png")
    images = [
        {"id": 0, "file_name": "a.jpg", "height": size[0], "width": size[1]},
        {"id": 1, "file_name": "b.png", "height": SIZE[0], "width": SIZE[1]},
    ]
    shapes = [(1, [ring(0, 0, 2, 2)])]
    report = converted(coco(tmp_path / "a.json", shapes, images=images), out)
    assert kinds(report)[0] == ["EXIF orientation"]
    assert "auto-orient" in report.problem_rows()[0]["detail"]
    assert not (out / "masks/train/a.png").exists()


def test_without_a_size_the_image_gives_it(tmp_path, out):
    image(tmp_path)
    shapes = [("car", "rectangle", [[0, 0], [3, 2]])]
    missing = {"imageHeight": None, "imageWidth": None}
    path = labelme(tmp_path / "a.json", shapes, **missing)
    converted(path, out)
    np.testing.assert_array_equal(mask_of(out), box_mask((0, 0, 3, 2, 1)))
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", SIZE[::-1]).save(tmp_path / "a.png", exif=exif)
    report = converted(path, out.with_name("other"))
    assert kinds(report)[0] == ["EXIF orientation"]  # nobody knows which way


def test_an_interrupted_run_goes_on(tmp_path, out):
    for n in range(3):
        image(tmp_path, f"{n}.png")
    files = [f"{n}.png" for n in range(3)]
    path = coco(tmp_path / "a.json", [(1, [ring(0, 0, 2, 2)])], files=files)

    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        converted(path, out, progress=interrupt)
    assert not (out / "classes.csv").exists()  # half a dataset must not be trained on
    seen = []
    report = converted(path, out, progress=lambda done, total: seen.append(done))
    assert (report.pairs, report.problems, seen) == (3, 0, [1, 2, 3])


def test_shapes_of_the_stored_pixels_fit_a_turned_image(tmp_path, out):
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", SIZE[::-1]).save(tmp_path / "a.jpg", exif=exif)
    path = coco(tmp_path / "a.json", [(1, [ring(0, 0, 2, 2)])], files=("a.jpg",))
    assert not converted(path, out).problems


def test_masks_that_are_there_are_kept(tmp_path, out):
    image(tmp_path)
    path = coco(tmp_path / "a.json", [(1, [ring(0, 0, 2, 2)])])
    (out / "masks/train").mkdir(parents=True)
    cv2.imwrite(str(out / "masks/train/a.png"), np.full(SIZE, 1, np.uint8))
    assert kinds(converted(path, out))[0] == ["another mask of this name"]
    assert (mask_of(out) == 1).all()


def test_images_of_one_stem_are_refused(tmp_path, out):
    image(tmp_path)
    path = coco(tmp_path / "a.json", [], files=("a.png", "a.jpg"))
    with pytest.raises(DataError, match=r"'a\.png' and 'a\.jpg' .* one mask"):
        converted(path, out)
    assert not out.exists()


def test_no_image_at_all_is_refused(tmp_path, out):
    path = coco(tmp_path / "a.json", [(1, [ring(0, 0, 2, 2)])])
    with pytest.raises(DataError, match=r"None of the 1 images was found, as 'a\.png'"):
        converted(path, out)
    assert not out.exists()


def test_formats_may_be_mixed(tmp_path, out):
    image(tmp_path)
    image(tmp_path, "b.png")
    first = coco(tmp_path / "a.json", [(1, [ring(0, 0, 2, 2)])])
    box = '<box label="tram" xtl="0" ytl="0" xbr="2" ybr="2"/>'
    second = cvat(tmp_path / "b.xml", [box], labels=("tram", "car"), name="b.png")
    report = masks_from_annotations({"train": [first, second]}, out)
    assert report.labels.classes == ("background", "car", "road", "tram")
    assert mask_of(out, "b").max() == 3
