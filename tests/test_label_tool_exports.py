"""Folders as labelling tools and datasets write them: names, class files, layout."""

import numpy as np
import pytest
from data_files import CLASSES, write_image, write_mask
from PIL import Image

from keras_frm.data import folder
from keras_frm.data.class_file import read_class_file
from keras_frm.data.stored_mask import read_stored_mask
from keras_frm.files import DataError


def write_pairs(root, names, split="train"):
    for image, mask in names:
        write_image(root / "images" / split / image, (1, 3))
        write_mask(root / "masks" / split / mask, value=np.uint8([[0, 1, 2]]))
    (root / "classes.csv").write_text(CLASSES)
    return root


def paired(root, split="train"):
    listing = folder.find_pairs(root, split)
    assert not listing.unpaired_labels
    return [(pair.image.name, pair.label.name) for pair in listing.pairs]


@pytest.mark.parametrize(
    "names",
    [
        [("a_jpg.rf.1f2e.jpg", "a_jpg.rf.1f2e_mask.png")],
        [("0001TP_006690.png", "0001TP_006690_L.png"), ("b.png", "b_L.png")],
        [("000_leftImg8bit.png", "000_gtFine_labellevel3Ids.png")],
        [("1_sat.jpg", "1_mask.png"), ("2_sat.jpg", "2_mask.png")],
        [("a.jpg", "a.jpg.png"), ("b.png", "b.png.png")],
        [("a.tif", "a.png")],
        [("img_1.jpg", "img_1_mask.png"), ("img_2.jpg", "img_2_mask.png")],
        [("a.jpg", "a-labels.bmp"), ("ü b.jpg", "ü b-labels.bmp")],
    ],
)
def test_what_masks_add_to_names_is_found(tmp_path, names):
    assert paired(write_pairs(tmp_path, names)) == sorted(names)


def test_names_in_folders(tmp_path):
    write_pairs(
        tmp_path, [("ulm/a.jpg", "ulm/a_L.png"), ("bonn/a.jpg", "bonn/a_L.png")]
    )
    assert len(paired(tmp_path)) == 2


def test_an_image_without_a_mask_is_left_over(tmp_path):
    write_pairs(tmp_path, [("a.jpg", "a_mask.png")])
    write_image(tmp_path / "images/train/b.jpg")
    listing = folder.find_pairs(tmp_path, "train")
    assert [path.name for path in listing.unpaired_images] == ["b.jpg"]


def test_the_shortest_ending_decides(tmp_path):
    write_pairs(tmp_path, [("a_b.jpg", "a_b_mask.png")])
    write_image(tmp_path / "images/train/a.jpg")
    assert paired(tmp_path) == [("a_b.jpg", "a_b_mask.png")]


@pytest.mark.parametrize(
    "names",
    [
        [("a.jpg", "a_mask.png"), ("b.jpg", "b_label.png")],  # two endings
        [("a.jpg", "a_mask.png"), ("b.jpg", "c_mask.png")],  # one of no image
        [("a_1.jpg", "a_2.png")],  # numbers are no ending
        [("a.jpg", "ab.png")],
        [("cat.jpg", "cow.png")],
    ],
)
def test_names_that_do_not_agree_are_shown(tmp_path, names):
    write_pairs(tmp_path, names)
    (image, mask), *_ = names
    with pytest.raises(DataError, match=f"No image has.*'{image}' and '{mask}'"):
        folder.find_pairs(tmp_path, "train")


def test_equal_names_come_before_endings(tmp_path):
    write_pairs(tmp_path, [("a.jpg", "a.png")])
    write_mask(tmp_path / "masks/train/a_mask.png")
    listing = folder.find_pairs(tmp_path, "train")
    assert [pair.label.name for pair in listing.pairs] == ["a.png"]
    assert [path.name for path in listing.unpaired_labels] == ["a_mask.png"]


@pytest.mark.parametrize(("suffix", "name"), [("jpg", "JPEG"), ("webp", "WebP")])
def test_masks_of_formats_with_loss_are_named(tmp_path, suffix, name):
    write_pairs(tmp_path, [("a.jpg", "a.png")])
    mask = tmp_path / "masks/train/a.png"
    mask.rename(mask.with_suffix(f".{suffix}"))
    with pytest.raises(DataError, match=f"are {name}"):
        folder.find_pairs(tmp_path, "train")


IDS = np.random.default_rng(0).integers(0, 4, (5, 8), np.uint8)
RAMP = np.arange(4, dtype=np.uint8) * 85


@pytest.mark.parametrize(
    ("ending", "mode", "options"),
    [
        ("tif", "L", {}),
        ("tiff", "L", {"compression": "tiff_lzw"}),
        ("tif", "L", {"compression": "tiff_adobe_deflate"}),
        ("tif", "P", {"compression": "packbits"}),
        ("tif", "I;16", {}),
        ("tif", "LA", {}),
        ("tif", "RGB", {}),
        ("gif", "P", {}),
    ],
)
def test_tiff_and_gif_masks(tmp_path, ending, mode, options):
    write_pairs(tmp_path, [("a.jpg", "a.png")])
    (tmp_path / "masks/train/a.png").unlink()
    path = tmp_path / f"masks/train/a.{ending}"
    grey = Image.fromarray(IDS)
    if mode == "P":
        image = Image.fromarray(IDS)
        image.putpalette(np.repeat(RAMP, 3).tobytes())
    elif mode == "I;16":
        image = Image.fromarray(IDS.astype(np.uint16))
    else:
        image = grey.convert(mode)
    image.save(path, **options)
    (pair,) = folder.find_pairs(tmp_path, "train").pairs
    assert pair.label == path
    np.testing.assert_array_equal(read_stored_mask(path).values, IDS)


@pytest.mark.parametrize("orientation", [3, 6])
def test_tiff_mask_is_read_as_stored(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(IDS).save(tmp_path / "a.tif", exif=exif)
    np.testing.assert_array_equal(read_stored_mask(tmp_path / "a.tif").values, IDS)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.tif", {"compression": "jpeg"}, "compressed as JPEG"),
        ("a.tif", {"save_all": True}, "several pages"),
        ("a.gif", {"save_all": True}, "several pictures"),
    ],
)
def test_masks_that_are_no_ids_are_refused(tmp_path, name, options, message):
    if "save_all" in options:
        options = {**options, "append_images": [Image.fromarray(3 - IDS)]}
    Image.fromarray(IDS).save(tmp_path / name, **options)
    with pytest.raises(DataError, match=message):
        read_stored_mask(tmp_path / name)


@pytest.mark.parametrize("ending", ["tif", "gif"])
def test_cut_masks_are_refused(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    Image.fromarray(np.tile(IDS, (20, 20))).save(path)
    content = path.read_bytes()
    for kept in range(0, len(content) - 2, max(1, len(content) // 40)):
        path.write_bytes(content[:kept])
        with pytest.raises(DataError):
            read_stored_mask(path)


# === Class files ===

COLOURS = ((0, 0, 0), (128, 64, 128))
EXPORTS = {
    "labelmap.txt": "# label:color_rgb:parts:actions\nbackground:0,0,0::\n"
    "road:128,64,128::\n",
    "class_dict.csv": "name,r,g,b\nbackground,0,0,0\nroad,128,64,128\n",
    "label_colors.txt": "0 0 0\tbackground\r\n128 64 128\t\troad\r\n",
    "_classes.csv": "Pixel Value, Class\n0, background\n1, road\n",
}


@pytest.mark.parametrize("name", EXPORTS)
def test_class_files_of_tools(tmp_path, name):
    (tmp_path / name).write_text(EXPORTS[name])
    labels = read_class_file(tmp_path / name)
    assert labels.classes == ("background", "road")
    assert dict(labels.ids) == {0: 0, 1: 1}
    assert len(set(labels.palette)) == 2
    if name != "_classes.csv":  # it has no colours
        assert labels.palette == COLOURS


@pytest.mark.parametrize("name", EXPORTS)
@pytest.mark.parametrize("place", ["", "masks", "masks/train"])
def test_class_files_of_tools_are_found(tmp_path, name, place):
    write_pairs(tmp_path, [("a.jpg", "a_mask.png")])
    (tmp_path / "classes.csv").unlink()
    (tmp_path / place / name).write_text(EXPORTS[name])
    labels = folder.find_pairs(tmp_path, "train").labels
    assert labels.classes == ("background", "road")
    if place != "masks/train":
        assert folder.folder_preset(tmp_path).labels == labels


def test_our_class_file_comes_first(tmp_path):
    write_pairs(tmp_path, [("a.jpg", "a_mask.png")])
    (tmp_path / "labelmap.txt").write_text(EXPORTS["labelmap.txt"])
    assert folder.folder_preset(tmp_path).labels.classes == ("road", "car", "sky")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("labelmap.txt", "road\n", "line 1: it needs lines as name:r,g,b"),
        ("labelmap.txt", "road:1,2,300::\n", "line 1: colour value 300 is over 255"),
        ("label_colors.txt", "1 2 road\n", "line 1: it needs lines as r g b name"),
        ("_classes.csv", "Pixel Value, Class\n0\n", "line 2: 1 fields where 2"),
        ("_classes.csv", "id,name\n", "header Pixel Value,Class"),
        ("class_dict.csv", "name,r,g,b\nroad,1,2\n", "line 2: 4 fields"),
        ("labelmap.txt", "", "has no class"),
    ],
)
def test_wrong_class_files_of_tools(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_class_file(tmp_path / name)


def test_roboflow_has_all_in_one_folder(tmp_path):
    for split in ("train", "valid"):
        write_image(tmp_path / split / "a_jpg.rf.1f2e.jpg", (1, 2))
        mask = tmp_path / split / "a_jpg.rf.1f2e_mask.png"
        write_mask(mask, value=np.uint8([[0, 1]]))
        (tmp_path / split / "_classes.csv").write_text(EXPORTS["_classes.csv"])
    listing = folder.find_pairs(tmp_path, "valid")
    assert listing.read(listing.pairs[0])[1].tolist() == [[0, 1]]
    assert not listing.unpaired_images
    assert len(folder.find_pairs(tmp_path, None).pairs) == 2
    assert folder.folder_preset(tmp_path).labels == listing.labels
