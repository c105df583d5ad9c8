"""Images of annotations: where they are, and which make no pair."""

import cv2
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
    mask_of,
    ring,
    written,
)
from PIL import Image

from keras_frm import masks_from_annotations
from keras_frm.data.folder import find_pairs
from keras_frm.files import DataError


@pytest.fixture
def out(tmp_path):
    return tmp_path / "street"


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
