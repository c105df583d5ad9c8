"""A share of the training pairs in the place of a `val` folder."""

import re

import pytest
from data_files import CLASSES, write_image, write_mask

from keras_frm.data.pipeline import load_dataset
from keras_frm.data.sources import find_pairs
from keras_frm.errors import ArgumentError
from keras_frm.files import DataError


def write_pairs(root, count, split="train"):
    """Write equal pairs: 000, 001 and so on."""
    for n in range(count):
        write_image(root / "images" / split / f"{n:03d}.png")
        write_mask(root / "masks" / split / f"{n:03d}.png")
    (root / "classes.csv").write_text(CLASSES)
    return root


def names(root, split, share=0.3, name="folder"):
    listing = find_pairs(name, root, split, val_share=share)
    return {pair.image.stem for pair in listing.pairs}


def test_train_and_val_part_all_pairs(tmp_path):
    write_pairs(tmp_path, 60)
    train, val = names(tmp_path, "train"), names(tmp_path, "val")
    assert not train & val
    assert len(train | val) == 60
    assert 8 <= len(val) <= 28  # 18 are expected; by the names, so never another number


def test_the_same_names_are_held_out_everywhere(tmp_path):
    first = write_pairs(tmp_path / "here", 30)
    second = write_pairs(tmp_path / "there" / "deeper", 30)
    for path in (second / "images/train").iterdir():
        path.rename(path.with_suffix(".jpg"))
    assert names(first, "val") == names(second, "val")
    # Held to these names: another version must not move a run's validation images.
    assert sorted(names(first, "val", 0.2)) == ["014", "018"]


def test_added_files_move_no_other(tmp_path):
    write_pairs(tmp_path, 30)
    before = names(tmp_path, "val")
    write_pairs(tmp_path, 50)
    after = names(tmp_path, "val")
    assert before == {name for name in after if int(name) < 30}


def test_a_larger_share_holds_out_more_and_the_same(tmp_path):
    write_pairs(tmp_path, 30)
    assert names(tmp_path, "val", 0.2) < names(tmp_path, "val", 0.6)


def test_a_folder_without_split_folders(tmp_path):
    write_pairs(tmp_path, 20, split="")
    train, val = names(tmp_path, "train"), names(tmp_path, "val")
    assert len(train) + len(val) == 20
    assert train
    assert val


def test_other_splits_stay_whole(tmp_path):
    write_pairs(tmp_path, 20)
    write_pairs(tmp_path, 5, split="test")
    assert len(names(tmp_path, "test")) == 5
    assert len(find_pairs("folder", tmp_path, "all", val_share=0.3).pairs) == 25


def test_test_images_are_not_trained_on(tmp_path):
    write_pairs(tmp_path, 5, split="test")
    with pytest.raises(DataError, match="images/train"):
        names(tmp_path, "train")


def test_left_over_files_are_divided_too(tmp_path):
    write_pairs(tmp_path, 20)
    for n in range(20):
        write_image(tmp_path / f"images/train/lonely{n}.png")
    parts = [
        set(find_pairs("folder", tmp_path, split, val_share=0.3).unpaired_images)
        for split in ("train", "val")
    ]
    assert not parts[0] & parts[1]
    assert len(parts[0] | parts[1]) == 20


def test_published_datasets_are_divided_alike(tmp_path):
    for n in range(20):
        write_image(tmp_path / f"train/{n}.png")
        write_mask(tmp_path / f"trainannot/{n}.png")
    val = names(tmp_path, "val", name="camvid")
    assert val | names(tmp_path, "train", name="camvid") == {str(n) for n in range(20)}


def test_load_dataset_takes_the_share(tmp_path):
    write_pairs(tmp_path, 20)
    val = load_dataset("folder", tmp_path, "val", val_share=0.3)
    train = load_dataset("folder", tmp_path, "train", batch_size=1, val_share=0.3)
    assert {pair.image.stem for pair in val.listing.pairs} == names(tmp_path, "val")
    assert len(val.listing.pairs) + len(train.listing.pairs) == 20
    assert train.augmented
    assert not val.augmented


def test_a_missing_val_names_the_share(tmp_path):
    write_pairs(tmp_path, 6)
    with pytest.raises(ArgumentError, match=r"no folder.*images/val.*val_share=0\.1"):
        find_pairs("folder", tmp_path, "val")
    with pytest.raises(ArgumentError) as caught:
        load_dataset("folder", tmp_path, "val")
    assert caught.value.argument == "val_share"


def test_a_missing_val_of_nothing_names_no_share(tmp_path):
    with pytest.raises(DataError, match="There is no folder") as caught:
        find_pairs("folder", tmp_path, "val")
    assert "val_share" not in str(caught.value)


def test_a_val_of_its_own_is_not_passed_over(tmp_path):
    write_pairs(tmp_path, 6)
    write_pairs(tmp_path, 6, split="val")
    for split in ("train", "val"):
        with pytest.raises(DataError, match="'val' of its own"):
            names(tmp_path, split)


def test_an_empty_val_folder_is_as_none(tmp_path):
    write_pairs(tmp_path, 20)
    for part in ("images", "masks"):
        (tmp_path / part / "val").mkdir()
    assert len(names(tmp_path, "train")) + len(names(tmp_path, "val")) == 20


@pytest.mark.parametrize(("split", "share"), [("val", 0.001), ("train", 0.999)])
def test_an_empty_part_names_the_share_that_fills_it(tmp_path, split, share):
    write_pairs(tmp_path, 4)
    with pytest.raises(DataError, match="none of the 4 pairs") as caught:
        names(tmp_path, split, share)
    bound = float(re.search(r"([\d.]+) is the", str(caught.value))[1])
    assert len(names(tmp_path, split, bound)) == 1
    assert len(names(tmp_path, "train", bound) | names(tmp_path, "val", bound)) == 4


@pytest.mark.parametrize("share", [0, 1, -0.1, 10, float("nan")])
def test_shares_out_of_range(tmp_path, share):
    write_pairs(tmp_path, 6)
    with pytest.raises(ValueError, match=r"above 0 and below 1"):
        names(tmp_path, "val", share)


def test_scenes_have_a_val_already():
    with pytest.raises(ValueError, match="val_share=None"):
        load_dataset("synthetic", split="train", val_share=0.1)
