"""What is found in the folders of a dataset: links, loops, systems' files."""

import pytest
from data_files import CLASSES, write_image, write_mask

from keras_frm.data.representative import folder_images
from keras_frm.data.sources import find_pairs
from keras_frm.files import DataError, is_system_path
from keras_frm.images.finding import find_files, unique_files

# Reader -> how an image and its mask are called; "" is a folder below the split's.
LAYOUTS = {
    "folder": ("images/train/{}{}.png", "masks/train/{}{}.png"),
    "cityscapes": (
        "leftImg8bit/train/{}{}_leftImg8bit.png",
        "gtFine/train/{}{}_gtFine_labelIds.png",
    ),
    "bdd100k": (
        "images/10k/train/{}{}.jpg",
        "labels/sem_seg/masks/train/{}{}.png",
    ),
    "camvid": ("train/{}{}.png", "trainannot/{}{}.png"),
}
DEEP = ("folder", "cityscapes")

SYSTEM_FOLDERS = (
    ".ipynb_checkpoints",
    ".git",
    ".Trash-1000",
    "@eaDir",
    "__MACOSX",
    "#recycle",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
)


def write_pair(root, name, stem, below=""):
    image, mask = (pattern.format(below, stem) for pattern in LAYOUTS[name])
    write_image(root / image)
    write_mask(root / mask)
    (root / "classes.csv").write_text(CLASSES)
    return root / image, root / mask


def link(name, target):
    name.parent.mkdir(parents=True, exist_ok=True)
    name.symlink_to(target)


def listed(root, name="folder"):
    """Return the images of the pairs, after a look that nothing is left over."""
    listing = find_pairs(name, root, "train")
    assert listing.unpaired_images == listing.unpaired_labels == ()
    return [pair.image for pair in listing.pairs]


# === links ===


@pytest.mark.parametrize("name", DEEP)
def test_linked_folders_are_followed(tmp_path, name):
    first = write_pair(tmp_path / "data", name, "a", "aachen/")
    other = write_pair(tmp_path / "disk2", name, "b", "bonn/north/")
    for here, there in zip(first, other, strict=True):
        link(here.parents[1] / "bonn", there.parents[1])
    images = listed(tmp_path / "data", name)
    assert [path.parent.name for path in images] == ["aachen", "north"]
    assert all(path.is_relative_to(tmp_path / "data") for path in images)


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_linked_split_and_linked_files_are_followed(tmp_path, name):
    for place, stem in ((tmp_path / "disk2", "a"), (tmp_path / "disk3", "b")):
        write_pair(place, name, stem)
    for part in LAYOUTS[name]:
        there = (tmp_path / "disk2" / part.format("", "a")).parent
        link((tmp_path / "data" / part.format("", "a")).parent, there)
        link(
            there / (part.format("", "b")).rpartition("/")[2],
            tmp_path / "disk3" / part.format("", "b"),
        )
    (tmp_path / "data/classes.csv").write_text(CLASSES)
    assert len(listed(tmp_path / "data", name)) == 2


@pytest.mark.parametrize("target", [".", "..", "../..", "../../..", "deeper"])
@pytest.mark.parametrize("name", DEEP)
def test_loops_end_and_count_each_pair_once(tmp_path, name, target):
    pair = write_pair(tmp_path / "data", name, "a")
    deep = write_pair(tmp_path / "data", name, "b", "deeper/")
    for file in pair if target == "deeper" else (*pair, *deep):
        link(file.parent / "loop", target)
    assert len(listed(tmp_path / "data", name)) == 2


def test_a_loop_on_one_side_alone(tmp_path):
    image, _ = write_pair(tmp_path, "folder", "a", "day/")
    link(image.parent / "loop", "..")
    link(image.parents[1] / "again", "day")
    assert listed(tmp_path) == [image]


def test_folders_that_link_to_each_other(tmp_path):
    for n in range(8):
        write_image(tmp_path / f"{n}/{n}.png")
        for other in range(8):
            link(tmp_path / f"{n}/to{other}", tmp_path / str(other))
    files = find_files(tmp_path, [".png"])
    assert len(unique_files(files)) == 8
    assert len(files) < 8 * 8 * 8


def test_a_second_name_of_a_folder_counts_once(tmp_path):
    image, mask = write_pair(tmp_path, "folder", "a", "bonn/")
    for file in (image, mask):
        link(file.parents[1] / "same", "bonn")
    assert len(listed(tmp_path)) == 1


def test_a_link_may_give_images_the_name_of_their_masks(tmp_path):
    image, mask = write_pair(tmp_path, "folder", "a", "seq1/")
    mask.parent.rename(mask.parents[1] / "sequence_1")
    link(image.parents[1] / "sequence_1", "seq1")
    assert listed(tmp_path) == [tmp_path / "images/train/sequence_1/a.png"]


def test_equal_files_that_are_stored_once_stay_pairs(tmp_path):
    # As git-annex, DVC and Hugging Face's cache keep files.
    image, mask = write_pair(tmp_path / "blobs", "folder", "a")
    for stem in ("a", "b", "c"):
        link(tmp_path / f"data/images/train/{stem}.png", image)
        link(tmp_path / f"data/masks/train/{stem}.png", mask)
    (tmp_path / "data/classes.csv").write_text(CLASSES)
    assert len(listed(tmp_path / "data")) == 3


def test_a_link_to_a_file_that_is_gone_is_no_silent_loss(tmp_path):
    image, mask = write_pair(tmp_path, "folder", "a")
    link(image.with_stem("b"), "/nowhere/b.png")
    link(mask.with_stem("b"), mask)
    listing = find_pairs("folder", tmp_path, "train")
    assert len(listing.pairs) == 2
    with pytest.raises(DataError, match=r"There is no file .*b\.png"):
        listing.read(listing.pairs[1])


def test_a_link_to_a_folder_that_is_gone_is_an_error(tmp_path):
    image, _ = write_pair(tmp_path, "folder", "a")
    link(image.parent / "bonn", "/nowhere/bonn")
    with pytest.raises(DataError, match=r"train/bonn' leads to '/nowhere/bonn'"):
        find_pairs("folder", tmp_path, "train")


def test_a_link_to_itself(tmp_path):
    write_image(tmp_path / "a.png")
    link(tmp_path / "b.png", "b.png")
    assert [path.name for path in find_files(tmp_path, [".png"])] == ["a.png", "b.png"]


def test_images_to_calibrate_on_are_each_read_once(tmp_path):
    write_image(tmp_path / "disk2/day/a.png", value=10)
    write_image(tmp_path / "data/b.png", value=20)
    write_image(tmp_path / "data/@eaDir/c.png")
    for name in ("first", "second"):
        link(tmp_path / "data" / name, tmp_path / "disk2/day")
    read = list(folder_images(tmp_path / "data"))
    assert sorted(int(image[0, 0, 0]) for image in read) == [10, 20]


# === hidden and system files ===


@pytest.mark.parametrize("system", SYSTEM_FOLDERS)
@pytest.mark.parametrize("name", LAYOUTS)
def test_system_folders_are_left_out(tmp_path, name, system):
    image, mask = write_pair(tmp_path, name, "a")
    for file in (image, mask):
        write_mask(file.parent / system / file.name)
        write_mask(file.parent / system / "deeper" / f"checkpoint-{file.name}")
    assert listed(tmp_path, name) == [image]


@pytest.mark.parametrize("name", LAYOUTS)
def test_hidden_files_are_left_out(tmp_path, name):
    image, mask = write_pair(tmp_path, name, "a")
    for file in (image, mask):
        (file.parent / f"._{file.name}").write_bytes(b"\0\5\x16\7")
        (file.parent / "Thumbs.db").write_bytes(b"\xd0\xcf")
    assert listed(tmp_path, name) == [image]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_dataset_below_a_hidden_folder_is_read(tmp_path, name):
    write_pair(tmp_path / ".cache/@tmp/data", name, "a")
    assert len(listed(tmp_path / ".cache/@tmp/data", name)) == 1


def test_folders_of_systems_are_no_splits(tmp_path):
    write_pair(tmp_path, "camvid", "a")
    (tmp_path / ".git").mkdir()
    with pytest.raises(DataError) as caught:
        find_pairs("camvid", tmp_path, "tarin")
    assert "holds train, trainannot" in str(caught.value)


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("a.png", False),
        ("deep/er/a.png", False),
        ("a.b.png", False),
        ("Thumbs.db", True),
        ("thumbs.DB", True),
        ("deep/__MACOSX/a.png", True),
        (".a.png", True),
        ("..a/b.png", True),
        ("Thumbs/a.png", False),
        ("tmp/a.png", False),
    ],
)
def test_is_system_path(path, is_one):
    assert is_system_path(path) is is_one
