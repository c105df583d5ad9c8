import io

import cv2
import numpy as np
import pytest
from data_files import write_folder, write_image, write_mask
from PIL import Image

from keras_frm.data.check import check_data
from keras_frm.data.overlays import chosen_pairs, draw_pairs
from keras_frm.files import DataError


def test_sound_folder(tmp_path):
    write_folder(tmp_path, count=4)
    mask = np.full((12, 16), 255, np.uint8)
    mask[:3] = 2
    write_mask(tmp_path / "masks/train/003.png", value=mask)
    report = check_data("folder", tmp_path, "train")
    assert report.problems == 0
    assert report.pairs == 4
    assert report.class_pixels == (192, 192, 192 + 48, 144)
    assert report.class_images == (1, 1, 2, 1)
    assert report.image_sizes == (((12, 16), 4),)


def test_table(tmp_path):
    write_folder(tmp_path, count=4)
    table = check_data("folder", tmp_path, "train").table()
    assert [row["class"] for row in table] == ["road", "car", "sky", "(ignored)"]
    assert [row["percent"] for row in table] == [50.0, 25.0, 25.0, 0.0]
    assert table[0] == {
        "id": 0,
        "class": "road",
        "pixels": 384,
        "percent": 50.0,
        "images": 2,
    }


def test_every_problem_is_reported_and_none_raises(tmp_path):
    write_folder(tmp_path, count=6)
    images, masks = tmp_path / "images/train", tmp_path / "masks/train"
    (images / "000.png").write_bytes(b"broken")
    (masks / "001.png").write_bytes(b"")
    write_mask(masks / "002.png", (12, 15))
    write_mask(masks / "003.png", value=np.uint8([[9, 77] * 8] * 12))
    write_image(images / "new.png")
    write_mask(masks / "old.png")
    report = check_data("folder", tmp_path, "train")
    assert [path.name for path, _ in report.unreadable] == ["000.png", "001.png"]
    assert [path.parent.parent.name for path, _ in report.unreadable] == [
        "images",
        "masks",
    ]
    assert [path.name for path, _ in report.size_mismatches] == ["002.png"]
    ((path, values),) = report.unknown_ids
    assert (path.name, values) == ("003.png", (9, 77))
    assert [path.name for path in report.unpaired_images] == ["new.png"]
    assert [path.name for path in report.unpaired_labels] == ["old.png"]
    assert [row["problem"] for row in report.problem_rows()] == [
        "image without mask",
        "mask without image",
        "unreadable",
        "unreadable",
        "size mismatch",
        "unknown ids",
        "class without pixels",
    ]
    assert report.problems == 7
    assert report.problem_rows()[-2]["detail"] == "9, 77"
    assert sum(report.class_pixels) == 2 * 192


def test_all_files_bad(tmp_path):
    write_folder(tmp_path, count=2)
    for n in range(2):
        (tmp_path / f"images/train/00{n}.png").write_bytes(b"broken")
    report = check_data("folder", tmp_path, "train")
    assert report.problems == 2
    assert all(row["percent"] == 0 for row in report.table())


def test_an_unforeseen_error_is_reported_too(tmp_path, monkeypatch):
    write_folder(tmp_path, count=3)

    def fail(self, pair):
        raise MemoryError("out of\nmemory")

    monkeypatch.setattr("keras_frm.data.listing.Listing.read", fail)
    report = check_data("folder", tmp_path, "train")
    assert [line for _, line in report.unreadable] == ["out of memory"] * 3


def test_skipped_pairs_are_no_problem(tmp_path):
    for name in ("a", "3d581db5-2564fb7e"):
        write_image(tmp_path / f"images/10k/train/{name}.jpg")
        write_mask(tmp_path / f"labels/sem_seg/masks/train/{name}.png")
    report = check_data("bdd100k", tmp_path, "train")
    assert report.problems == 0
    assert [path.stem for path, _ in report.skipped] == ["3d581db5-2564fb7e"]


def test_progress_counts_up(tmp_path):
    write_folder(tmp_path, count=3)
    calls = []
    check_data("folder", tmp_path, "train", progress=lambda *call: calls.append(call))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_wrong_root_raises(tmp_path):
    with pytest.raises(DataError, match="There is no folder"):
        check_data("folder", tmp_path, "train")


def test_real_sample(data_dir):
    report = check_data("cityscapes", data_dir / "samples/cityscapes", "val")
    assert report.problems == 0
    assert sum(report.class_pixels) == 128 * 256
    assert report.class_images[13] == 1


# === what training would not show ===


def halves(size=(12, 16)):
    """A mask of road above and sky below, with a car in it."""
    ids = np.zeros(size, np.uint8)
    ids[size[0] // 2 :] = 2
    ids[-2:, :2] = 1
    return ids


def write_varied(root, count=3, split="train", seed=0):
    """Write pairs that differ, each with all three classes."""
    rng = np.random.default_rng(seed)
    write_folder(root, count, split)
    for n in range(count):
        picture = rng.integers(0, 256, (12, 16, 3), np.uint8)
        write_mask(root / f"images/{split}/{n:03d}.png", value=picture)
        write_mask(root / f"masks/{split}/{n:03d}.png", value=halves())
    return root


def oriented(tag, size=(12, 16)):
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = tag
    noise = np.random.default_rng(tag).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(noise).save(file, "PNG", exif=exif)
    return file.getvalue()


def found(report, kind):
    """Return severity, file name and detail of each finding of a kind."""
    return [
        (finding.severity, finding.file.rpartition("/")[2], finding.detail)
        for finding in report.all_findings()
        if finding.kind == kind
    ]


def test_nothing_is_found_where_nothing_is(tmp_path):
    report = check_data("folder", write_varied(tmp_path), "train")
    assert report.all_findings() == report.note_rows() == report.problem_rows() == []
    assert len(report.sound_pairs) == 3


@pytest.mark.parametrize("split", ["train", "all", None])
def test_a_class_without_pixels_in_training_is_a_problem(tmp_path, split):
    write_folder(tmp_path, count=2)
    report = check_data("folder", tmp_path, split)
    ((severity, file, detail),) = found(report, "class without pixels")
    assert (severity, file) == ("problem", "")
    assert "'sky'" in detail
    assert "remove its row" in detail


def test_a_class_without_pixels_elsewhere_is_a_note(tmp_path):
    write_folder(tmp_path, count=2, split="val")
    report = check_data("folder", tmp_path, "val")
    assert [severity for severity, *_ in found(report, "class without pixels")] == [
        "note"
    ]
    assert report.problems == 0


def test_masks_of_one_value_are_named(tmp_path):
    write_varied(tmp_path, 4)
    write_mask(tmp_path / "masks/train/001.png", value=1)
    write_mask(tmp_path / "masks/train/002.png", value=255)
    report = check_data("folder", tmp_path, "train")
    assert found(report, "mask of one value") == [
        ("note", "001.png", "Every pixel is 'car'."),
        ("note", "002.png", "Every pixel is not labelled."),
    ]
    assert report.problems == 0
    assert report.note_rows()[0]["note"] == "mask of one value"


@pytest.mark.parametrize("tag", range(1, 9))
def test_every_orientation_is_named(tmp_path, tag):
    write_varied(tmp_path)
    (tmp_path / "images/train/001.png").write_bytes(oriented(tag))
    report = check_data("folder", tmp_path, "train")
    rows = found(report, "EXIF orientation")
    if tag == 1:
        assert rows == []
        return
    # 90 degrees on a mask of the stored size is right; the size of 180 says nothing.
    severity = "note" if tag >= 5 else "problem"
    ((got, file, detail),) = rows
    assert (got, file) == (severity, "001.png")
    assert detail.startswith(f"{tag}: ")
    assert ("mogrify -auto-orient" in detail) == (severity == "problem")


def test_the_size_of_a_square_says_nothing_of_its_orientation(tmp_path):
    write_varied(tmp_path)
    (tmp_path / "images/train/001.png").write_bytes(oriented(6, (16, 16)))
    write_mask(tmp_path / "masks/train/001.png", value=halves((16, 16)))
    ((severity, *_),) = found(
        check_data("folder", tmp_path, "train"), "EXIF orientation"
    )
    assert severity == "problem"


def test_a_mask_of_the_upright_image_is_a_size_mismatch_that_names_exif(tmp_path):
    write_varied(tmp_path)
    (tmp_path / "images/train/001.png").write_bytes(oriented(6, (16, 12)))
    report = check_data("folder", tmp_path, "train")
    ((severity, file, detail),) = found(report, "size mismatch")
    assert (severity, file) == ("problem", "001.png")
    assert "EXIF orientation 6" in detail


def test_orientations_of_masks_count_too(tmp_path):
    write_varied(tmp_path)
    for n, (image_tag, mask_tag) in enumerate([(1, 3), (3, 3), (6, 8)]):
        (tmp_path / f"images/train/00{n}.png").write_bytes(oriented(image_tag))
        exif = Image.Exif()
        exif[0x0112] = mask_tag
        Image.fromarray(halves()).save(tmp_path / f"masks/train/00{n}.png", exif=exif)
    rows = found(check_data("folder", tmp_path, "train"), "EXIF orientation")
    assert {file: severity for severity, file, _ in rows} == {
        "000.png": "problem",
        "001.png": "note",
        "002.png": "problem",
    }


def test_images_of_16_bits_show_their_range(tmp_path):
    write_varied(tmp_path)
    thermal = np.arange(7000, 7192, dtype=np.uint16).reshape(12, 16)
    cv2.imwrite(str(tmp_path / "images/train/001.png"), thermal)
    ((severity, file, detail),) = found(
        check_data("folder", tmp_path, "train"), "image of 16 bits"
    )
    assert (severity, file) == ("note", "001.png")
    assert detail == "192 values from 7000 to 7191 are read as 2 values from 27 to 28."


def test_repeats_over_splits_are_a_problem(tmp_path):
    write_varied(tmp_path)
    write_varied(tmp_path, 2, "val", seed=1)
    same = (tmp_path / "images/train/001.png").read_bytes()
    (tmp_path / "images/val/001.png").write_bytes(same)
    for split, own, other in (
        ("train", "train", "val"),
        ("val", "val", "train"),
        ("all", "train", "val"),
    ):
        report = check_data("folder", tmp_path, split)
        ((severity, file, detail),) = found(report, "repeats over splits")
        assert (severity, file) == ("problem", "001.png")
        assert f"images/{other}/001.png' of {other}" in detail
        (row,) = report.problem_rows()
        assert row["file"] == str(tmp_path / f"images/{own}/001.png")


def test_repeats_in_one_split_are_a_note(tmp_path):
    write_varied(tmp_path, 3)
    same = (tmp_path / "images/train/001.png").read_bytes()
    for n in (0, 2):
        (tmp_path / f"images/train/00{n}.png").write_bytes(same)
    report = check_data("folder", tmp_path, "train")
    ((severity, file, detail),) = found(report, "repeats")
    assert (severity, file) == ("note", "000.png")
    assert "001.png" in detail
    assert "002.png" in detail
    assert report.problems == 0


def test_repeats_over_a_share_held_out(tmp_path):
    write_varied(tmp_path, 20)
    same = (tmp_path / "images/train/000.png").read_bytes()
    for n in range(20):
        (tmp_path / f"images/train/{n:03d}.png").write_bytes(same)
    report = check_data("folder", tmp_path, "train", val_share=0.3)
    assert found(report, "repeats over splits")
    assert report.pairs < 20
    assert found(check_data("folder", tmp_path, "train"), "repeats")


def test_a_val_that_links_to_train_repeats_it(tmp_path):
    write_varied(tmp_path)
    for part in ("images", "masks"):
        (tmp_path / part / "val").symlink_to(tmp_path / part / "train")
    report = check_data("folder", tmp_path, "val")
    assert len(found(report, "repeats over splits")) == 3


def test_empty_files_do_not_repeat_each_other(tmp_path):
    write_varied(tmp_path)
    for n in (0, 1):
        (tmp_path / f"images/train/00{n}.png").write_bytes(b"")
    report = check_data("folder", tmp_path, "train")
    assert {finding.kind for finding in report.all_findings()} == {"unreadable"}


# === overlays ===


def test_overlays_are_drawn_in_a_grid(tmp_path):
    report = check_data("folder", write_varied(tmp_path), "train")
    picture = draw_pairs(report.listing, list(report.sound_pairs))
    assert picture.dtype == np.uint8
    # A pair is scaled to 480 pixels and has its legend at the right or below.
    assert picture.shape[0] >= 2 * 360
    assert picture.shape[1] >= 2 * 480
    image, _ = report.listing.read(report.sound_pairs[0])
    road = np.mean([image[0, 0], (128, 64, 128)], axis=0)  # half of each
    assert abs(picture[0, 0] - road).max() <= 1


def test_pairs_to_look_at_come_from_everywhere_and_problems_first(tmp_path):
    report = check_data("folder", write_varied(tmp_path, 12), "train")
    pairs = report.sound_pairs

    def numbers(first):
        names = frozenset(str(pairs[n].image) for n in first)
        return [int(pair.image.stem) for pair in chosen_pairs(pairs, names)]

    assert numbers([]) == [0, 2, 4, 6, 8, 10]
    assert {5, 11} <= set(numbers([5, 11]))
    assert len(numbers(range(12))) == 6
    assert chosen_pairs(pairs[:2], frozenset()) == list(pairs[:2])
