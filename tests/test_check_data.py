import numpy as np
import pytest
from data_files import write_folder, write_image, write_mask

from keras_frm.data.check import check_data
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
    assert report.problems == 6
    assert len(report.problem_rows()) == 6
    assert report.problem_rows()[-1]["detail"] == "9, 77"
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
