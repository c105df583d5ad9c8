"""`keras-frm masks`: from annotation files to a training, and what it says."""

import pytest
from annotation_files import coco, cvat, image, labelme, ring, written
from test_cli import SMALL, keras_frm, quick_model  # noqa: F401

from keras_frm.data.class_file import read_class_file

LARGE = (36, 52)
SHAPES = [(2, [ring(0, 18, 52, 36)]), (1, [ring(8, 8, 30, 30)])]


def large_coco(path, names, value=40):
    """Write COCO of images of `LARGE`, which are beside it, the same shapes in each."""
    images = [
        {"id": n, "file_name": name, "height": LARGE[0], "width": LARGE[1]}
        for n, name in enumerate(names)
    ]
    annotations = [
        {"image_id": n, "category_id": category, "segmentation": polygons}
        for n in range(len(names))
        for category, polygons in SHAPES
    ]
    for n, name in enumerate(names):
        image(path.parent, name, LARGE, value + n)
    return coco(path, [], images=images, annotations=annotations)


@pytest.mark.slow
def test_masks_are_checked_and_trained_on(quick_model, tmp_path):  # noqa: F811
    train = large_coco(tmp_path / "raw/train/a.json", ["a.png", "b.png", "deep/c.png"])
    val = large_coco(tmp_path / "raw/val/v.json", ["v.png"], value=90)
    out = tmp_path / "street"
    done = keras_frm("masks", f"train={train}", f"val={val}", "--out", out)
    assert done.code == 0, done.err
    assert f"4 pairs are in {out}" in done.out
    assert [row.split()[1] for row in done.out.splitlines()[3:7]] == [
        "background",
        "car",
        "road",
        "(ignored)",
    ]
    checked = keras_frm("check-data", out, "--split", "train")
    assert checked.code == 0, checked.out
    assert "3 pairs; sizes (height x width): 36x52: 3" in checked.out
    trained = keras_frm(
        *("train", "--preset", "folder", "--data", out, "--out", tmp_path / "run"),
        *SMALL,
    )
    assert trained.code == 0, trained.err


def test_what_was_left_out_ends_with_one(tmp_path):
    image(tmp_path)
    path = coco(tmp_path / "a.json", [(1, [ring(0, 0, 2, 2)]), (1, []), (2, [])])
    done = keras_frm("masks", path, "--out", tmp_path / "out")
    assert done.code == 1
    assert "2 images or shapes were left out." in done.out
    (row,) = (line for line in done.out.splitlines() if "at most a box" in line)
    assert row.split()[-5:] == ["2", "a.png", "'car',", "annotation", "11"]


def test_notes_end_with_zero(tmp_path):
    image(tmp_path)
    shapes = [("car", "point", [[1, 1]]), ("car", "rectangle", [[0, 0], [2, 2]])]
    labelme(tmp_path / "labels/a.json", shapes)
    done = keras_frm(
        *("masks", tmp_path / "labels", "--out", tmp_path / "out"),
        *("--images", tmp_path, "--unlabelled", "background"),
    )
    assert done.code == 0, done.out
    assert "shape without area" in done.out


def test_folders_of_images_for_each_split(tmp_path):
    """Two splits have images of one name in two folders."""
    box = '<box label="car" xtl="0" ytl="0" xbr="2" ybr="2"/>'
    train = cvat(tmp_path / "t.xml", [box])
    val = cvat(tmp_path / "v.xml", [box])
    for split, size in (("train", (12, 16)), ("val", (6, 8))):
        image(tmp_path / "photos" / split, size=size)
    given = [f"--images={s}={tmp_path / 'photos' / s}" for s in ("train", "val")]
    command = ("masks", f"train={train}", f"val={val}", "--out", tmp_path / "out")
    done = keras_frm(*command, *given)
    assert done.code == 1
    assert "size mismatch" in done.out
    assert "v.xml" not in done.err
    line = keras_frm(*command, *given[:1], "--images", tmp_path).only_line
    assert "--images gives two folders for 'train'" in line
    line = keras_frm(*command, "--images=test=photos").line
    assert "images for 'test' and annotations for 'train', 'val' only" in line


def test_a_path_with_an_equals_sign(tmp_path):
    folder = tmp_path / "run=3"
    image(folder)
    path = coco(folder / "a.json", [(1, [ring(0, 0, 2, 2)])])
    done = keras_frm("masks", path, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert (tmp_path / "out/masks/train/a.png").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--images", "{}/gone"], "There is no folder of images"),
        (["--unlabelled", "ignore"], "With one class"),
        (["--unlabelled", "black"], "'black' is not one of"),
        (["--class-file", "{}/road.csv"], "or pass --unlabelled ignore"),
        (["--class-file", "{}/merge.csv"], "header id,name,r,g,b"),
    ],
)
def test_mistakes_are_one_line(tmp_path, options, words):
    image(tmp_path)
    written(tmp_path / "road.csv", "id,name,r,g,b\n0,car,1,2,3\n")
    written(tmp_path / "merge.csv", "name,class\ncar,vehicle\n")
    path = coco(tmp_path / "a.json", [(1, [ring(0, 0, 2, 2)])], names=("car",))
    options = [option.format(tmp_path) for option in options]
    done = keras_frm("masks", path, "--out", tmp_path / "out", *options)
    assert words in done.line
    assert not (tmp_path / "out").exists()


def test_other_remedies_name_options(tmp_path):
    path = coco(tmp_path / "a.json", [(1, [ring(0, 0, 2, 2)])])
    out = ("--out", tmp_path / "out")
    assert "Pass --images, the folder" in keras_frm("masks", path, *out).line
    path = coco(tmp_path / "a.json", [], names=("car", "Car"))
    assert "write a --class-file with both" in keras_frm("masks", path, *out).line


def test_ignored_pixels_are_said_in_the_class_file(tmp_path):
    image(tmp_path)
    path = coco(tmp_path / "a.json", [(1, [ring(0, 0, 2, 2)])])
    out = tmp_path / "out"
    keras_frm("masks", path, "--out", out, "--unlabelled", "ignore")
    assert read_class_file(out / "classes.csv").ignored_ids == {255}
