import numpy as np
import pytest
from data_files import write_folder, write_image, write_mask
from PIL import Image

from keras_frm.data import bdd100k, camvid, cityscapes, folder
from keras_frm.data.class_file import read_class_file
from keras_frm.data.sources import SOURCES, find_pairs
from keras_frm.files import DataError

CITY = (
    "leftImg8bit/val/bonn/a_1_leftImg8bit",
    "gtFine/val/bonn/a_1_gtFine_labelIds.png",
)


def city(root, name, endings, split="val", town="bonn"):
    write_image(root / f"leftImg8bit/{split}/{town}/{name}_leftImg8bit.png")
    for ending, value in endings.items():
        write_mask(
            root / f"gtFine/{split}/{town}/{name}_gtFine_{ending}.png", value=value
        )


def names(paths):
    return [path.name for path in paths]


def test_cityscapes_takes_train_ids_where_they_are(tmp_path):
    city(tmp_path, "b_1", {"labelIds": 26})
    city(tmp_path, "a_1", {"labelIds": 26, "labelTrainIds": 13, "instanceIds": 99})
    listing = cityscapes.find_pairs(tmp_path, "val")
    assert names(pair.label for pair in listing.pairs) == [
        "a_1_gtFine_labelTrainIds.png",
        "b_1_gtFine_labelIds.png",
    ]
    for pair in listing.pairs:
        assert (listing.read(pair)[1] == 13).all()


def test_cityscapes_left_over_files(tmp_path):
    city(tmp_path, "a", {"labelIds": 7})
    city(tmp_path, "b", {})
    write_mask(tmp_path / "gtFine/val/ulm/c_gtFine_labelIds.png")
    listing = cityscapes.find_pairs(tmp_path, "val")
    assert len(listing.pairs) == 1
    assert names(listing.unpaired_images) == ["b_leftImg8bit.png"]
    assert names(listing.unpaired_labels) == ["c_gtFine_labelIds.png"]


def test_equal_names_in_two_cities_are_two_pairs(tmp_path):
    city(tmp_path, "a", {"labelIds": 7}, town="ulm")
    city(tmp_path, "a", {"labelIds": 7}, town="bonn")
    pairs = cityscapes.find_pairs(tmp_path, "val").pairs
    assert [pair.image.parent.name for pair in pairs] == ["bonn", "ulm"]
    assert all(pair.image.parent.name == pair.label.parent.name for pair in pairs)


def test_wrong_split_names_those_that_are_there(tmp_path):
    city(tmp_path, "a", {"labelIds": 7}, split="train")
    with pytest.raises(DataError, match=r"leftImg8bit/vall'.*holds train.*Expected:"):
        cityscapes.find_pairs(tmp_path, "vall")


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_wrong_root(tmp_path, name):
    with pytest.raises(DataError, match=r"There is no folder.*Expected"):
        find_pairs(name, tmp_path / "nowhere", "train")


def test_unknown_name_lists_the_right_ones():
    with pytest.raises(ValueError, match="bdd100k, camvid, cityscapes, folder"):
        find_pairs("citscapes", "/", "train")


def test_root_is_needed():
    with pytest.raises(ValueError, match="give its folder"):
        find_pairs("camvid", None, "train")


def test_empty_folders(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "trainannot").mkdir()
    with pytest.raises(DataError, match="0 images and 0 masks"):
        camvid.find_pairs(tmp_path, "train")


@pytest.mark.parametrize(
    ("images", "masks", "suffix"),
    [
        ("images/10k", "labels/sem_seg/masks", ""),
        ("seg/images", "seg/labels", "_train_id"),
    ],
)
def test_bdd100k_layouts(tmp_path, images, masks, suffix):
    broken = "781756b0-61e0a182"
    for name in ("b-2", "a-1", broken):
        write_image(tmp_path / images / "train" / f"{name}.jpg")
    for name in ("b-2", "a-1", "x-9", broken):
        write_mask(tmp_path / masks / "train" / f"{name}{suffix}.png", value=13)
    listing = bdd100k.find_pairs(tmp_path, "train")
    assert names(pair.image for pair in listing.pairs) == ["a-1.jpg", "b-2.jpg"]
    assert names(pair.label for pair in listing.pairs) == [
        f"a-1{suffix}.png",
        f"b-2{suffix}.png",
    ]
    assert names(listing.unpaired_labels) == [f"x-9{suffix}.png"]
    ((path, reason),) = listing.skipped
    assert path.stem == broken
    assert "#103" in reason
    assert (listing.read(listing.pairs[0])[1] == 13).all()


def test_bdd100k_colour_maps_beside_the_labels_are_not_masks(tmp_path):
    write_image(tmp_path / "seg/images/val/a.jpg")
    write_mask(tmp_path / "seg/labels/val/a_train_id.png", value=1)
    write_mask(tmp_path / "seg/labels/val/a_train_color.png", value=99)
    listing = bdd100k.find_pairs(tmp_path, "val")
    assert len(listing.pairs) == 1
    assert not listing.unpaired_labels


@pytest.mark.parametrize(
    ("name", "image", "mask", "value", "train_id"),
    [
        ("cityscapes", *CITY, 7, 0),
        ("bdd100k", "images/10k/val/a", "labels/sem_seg/masks/val/a.png", 13, 13),
        ("bdd100k", "seg/images/val/a", "seg/labels/val/a_train_id.png", 13, 13),
        ("camvid", "val/a", "valannot/a.png", 11, 255),
    ],
    ids=["cityscapes", "bdd100k", "bdd100k-seg", "camvid"],
)
@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "JPG"])
def test_images_encoded_in_any_way(
    tmp_path, name, image, mask, value, train_id, suffix
):
    write_image(tmp_path / f"{image}.{suffix}")
    write_mask(tmp_path / mask, value=value)
    listing = find_pairs(name, tmp_path, "val")
    assert (listing.read(listing.pairs[0])[1] == train_id).all()


def test_hidden_files_are_no_images(tmp_path):
    write_image(tmp_path / "test/a.png")
    write_image(tmp_path / "test/._a.png")
    write_mask(tmp_path / "testannot/a.png")
    listing = camvid.find_pairs(tmp_path, "test")
    assert len(listing.pairs) == 1
    assert not listing.unpaired_images


def test_two_images_of_one_stem_are_ambiguous(tmp_path):
    write_image(tmp_path / "test/a.png")
    write_image(tmp_path / "test/a.jpg")
    write_mask(tmp_path / "testannot/a.png")
    with pytest.raises(DataError, match=r"a\.jpg.*a\.png.*ambiguous"):
        camvid.find_pairs(tmp_path, "test")


def test_folder_split_and_all(tmp_path):
    write_folder(tmp_path, count=2, split="train")
    write_folder(tmp_path, count=3, split="val/night")
    assert len(folder.find_pairs(tmp_path, "train").pairs) == 2
    assert len(folder.find_pairs(tmp_path, "val").pairs) == 3
    assert len(folder.find_pairs(tmp_path, "all").pairs) == 5
    assert folder.find_pairs(tmp_path, None) == folder.find_pairs(tmp_path, "all")


def test_flat_folder(tmp_path):
    write_folder(tmp_path, count=2, split="")
    assert len(folder.find_pairs(tmp_path, None).pairs) == 2
    with pytest.raises(DataError, match="split 'all'"):
        folder.find_pairs(tmp_path, "train")


def test_folder_with_ids_and_with_colours(tmp_path):
    write_folder(tmp_path, count=1)
    (tmp_path / "classes.csv").write_text(
        "id,name,r,g,b\n5,road,9,9,9\n3,car,0,0,142\n77,void,1,1,1\n"
    )
    write_mask(tmp_path / "masks/train/000.png", value=np.uint8([[3, 5, 77, 255]]))
    write_image(tmp_path / "images/train/000.png", (1, 4))
    listing = folder.find_pairs(tmp_path, "train")
    assert listing.labels.classes == ("road", "car")
    assert listing.read(listing.pairs[0])[1].tolist() == [[1, 0, 255, 255]]
    colours = np.uint8([[[0, 0, 142], [9, 9, 9], [1, 1, 1], [9, 9, 9]]])
    Image.fromarray(colours).save(tmp_path / "masks/train/000.png")
    assert listing.read(listing.pairs[0])[1].tolist() == [[1, 0, 255, 0]]


def test_folder_of_jpeg_masks(tmp_path):
    write_folder(tmp_path, count=1)
    (tmp_path / "masks/train/000.png").rename(tmp_path / "masks/train/000.jpg")
    with pytest.raises(DataError, match="are JPEG"):
        folder.find_pairs(tmp_path, "train")


def class_file(tmp_path, text):
    path = tmp_path / "classes.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_class_file_order_gives_train_ids(tmp_path):
    path = class_file(
        tmp_path, "\ufeffid, name ,R,g,b\r\n9,sky,1,2,3\r\n\r\n4,a b,4,5,6\r\n"
    )
    labels = read_class_file(path)
    assert labels.classes == ("sky", "a b")
    assert labels.palette == ((1, 2, 3), (4, 5, 6))
    assert dict(labels.ids) == {9: 0, 4: 1}
    assert labels.stored_ids() == {9: 0, 4: 1, 255: 255}
    assert labels.stored_colours() == {(1, 2, 3): 0, (4, 5, 6): 1}


def test_class_file_ignored_rows(tmp_path):
    path = class_file(
        tmp_path, "id,name,r,g,b\n0,road,1,1,1\n,void,0,0,0\n11,Ignore,,,\n"
    )
    labels = read_class_file(path)
    assert labels.stored_ids() == {0: 0, 11: 255, 255: 255}
    assert labels.stored_colours() == {(1, 1, 1): 0, (0, 0, 0): 255}


def test_class_file_255_may_be_a_class(tmp_path):
    labels = read_class_file(
        class_file(tmp_path, "id,name,r,g,b\n0,back,0,0,0\n255,lane,9,9,9\n")
    )
    assert labels.stored_ids() == {0: 0, 255: 1}


def test_several_rows_name_one_class(tmp_path):
    path = class_file(
        tmp_path,
        "id,name,r,g,b\n1,vehicle,0,0,142\n0,road,128,64,128\n2,vehicle,0,0,70\n"
        "7,vehicle,,,\n,vehicle,9,9,9\n7,vehicle,8,8,8\n",
    )
    labels = read_class_file(path)
    assert labels.classes == ("vehicle", "road")
    assert labels.palette == ((0, 0, 142), (128, 64, 128))
    assert dict(labels.ids) == {1: 0, 0: 1, 2: 0, 7: 0}
    colours = {(0, 0, 142): 0, (128, 64, 128): 1, (0, 0, 70): 0, (9, 9, 9): 0}
    assert labels.stored_colours() == {**colours, (8, 8, 8): 0}


ROAD = "0,road,1,1,1\n"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROAD + "0,car,2,2,2\n", "line 3: id 0 is already used in line 2"),
        (ROAD + ",road,,,\n", "line 3: .* one more of a class, needs an id or a"),
        (ROAD + "1,car,2,2,2\n1,road,,,\n", "line 4: id 1 is already used in line 3"),
        (ROAD + "1,car,1,1,1\n", "line 3: colour .* is already used in line 2"),
        (ROAD + "1,car,1,1,256\n", "line 3: colour value 256 is over 255"),
        (ROAD + "1,car,1,1,-1\n", "line 3: colour value '-1' is not"),
        (ROAD + "1,car,1,1,\n", "line 3: colour value '' is not"),
        (ROAD + "1,car,1,1\n", "line 3: 4 fields"),
        (ROAD + "one,car,2,2,2\n", "line 3: id 'one' is not a whole number"),
        (ROAD + "1_0,car,2,2,2\n", "line 3: id '1_0' is not a whole number"),
        (ROAD + "70000,car,2,2,2\n", "line 3: id 70000 is over 65535"),
        (ROAD + "1,,2,2,2\n", "line 3: the name is empty"),
        (ROAD + "1,\x1b[31m,2,2,2\n", "line 3: the name is empty or not printable"),
        (ROAD + ",void,,,\n", "line 3: an ignored row, .* needs an id or a colour"),
        (ROAD + "0,void,,,\n", "line 3: id 0 is already used"),
        ("", "has no class"),
        ("9,void,0,0,0\n", "has no class"),
        (
            "".join(f"{n},c{n},{n % 256},{n // 256},7\n" for n in range(256)),
            "line 257: more than 255 classes",
        ),
    ],
)
def test_class_file_errors_name_the_line(tmp_path, rows, message):
    path = class_file(tmp_path, "id,name,r,g,b\n" + rows)
    with pytest.raises(DataError, match=message) as caught:
        read_class_file(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "does not start with the header"),
        ("name,id\nroad,0\n", "does not start with the header"),
        (b"id,name,r,g,b\n0,stra\xdfe,1,1,1\n", "not text in UTF-8"),
        ('id,name,r,g,b\n0,"road,1,1,1\n', "not CSV in UTF-8"),
        ("id,name,r,g,b\n" + "0" * 70_000, "over 65536 bytes"),
    ],
)
def test_class_file_that_is_none(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read_class_file(class_file(tmp_path, content))


def test_class_file_is_missing(tmp_path):
    write_folder(tmp_path, count=1)
    (tmp_path / "classes.csv").unlink()
    with pytest.raises(DataError, match="There is no class file"):
        folder.find_pairs(tmp_path, "train")


def test_real_camvid_counts(data_dir):
    counts = {
        split: len(camvid.find_pairs(data_dir / "camvid", split).pairs)
        for split in ("train", "val", "test")
    }
    assert counts == {"train": 367, "val": 101, "test": 233}


def test_real_cityscapes_sample(data_dir):
    listing = cityscapes.find_pairs(data_dir / "samples/cityscapes", "val")
    image, label = listing.read(listing.pairs[0])
    assert image.shape == (128, 256, 3)
    assert set(np.unique(label)) == {0, 1, 2, 4, 5, 7, 8, 10, 11, 13, 255}
