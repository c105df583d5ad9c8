import dataclasses
import json

import numpy as np
import pytest
from data_files import write_folder, write_image, write_mask
from PIL import Image

import keras_frm
from keras_frm.cli.datasets import chosen_preset, with_merges
from keras_frm.data.check import check_data
from keras_frm.data.merging import merge_classes, merged_like, read_merge_file
from keras_frm.data.pipeline import load_dataset
from keras_frm.data.reading import read_mask
from keras_frm.data.sources import find_pairs
from keras_frm.files import DataError
from keras_frm.labels import BDD100K, CAMVID, CITYSCAPES, LabelSet
from keras_frm.presets import Preset, preset

CATEGORIES = {
    "flat": ["road", "sidewalk"],
    "construction": ["building", "wall", "fence"],
    "object": ["pole", "traffic light", "traffic sign"],
    "nature": ["vegetation", "terrain"],
    "sky": ["sky"],
    "human": ["person", "rider"],
    "vehicle": ["car", "truck", "bus", "train", "motorcycle", "bicycle"],
}


def test_cityscapes_to_seven_categories(tmp_path):
    labels = merge_classes(CITYSCAPES, CATEGORIES)
    assert labels.classes == tuple(CATEGORIES)
    assert labels.palette[6] == CITYSCAPES.palette[13]
    path = write_mask(tmp_path / "a.png", value=np.uint8([[7, 8, 26, 33, 0, 255]]))
    assert read_mask(path, labels).tolist() == [[0, 0, 6, 6, 255, 255]]
    path = write_mask(tmp_path / "a.png", value=np.uint8([[0, 1, 13, 18, 10, 255]]))
    assert read_mask(path, labels, train_ids=True).tolist() == [[0, 0, 6, 6, 4, 255]]
    Image.fromarray(CITYSCAPES.colours()[[[1, 14]]]).save(path)
    assert read_mask(path, labels).tolist() == [[0, 6]]


def test_masks_of_train_ids_are_merged(tmp_path):
    labels = merge_classes(BDD100K, CATEGORIES)
    path = write_mask(tmp_path / "a.png", value=np.uint8([[1, 18, 255]]))
    assert read_mask(path, labels).tolist() == [[0, 6, 255]]


def test_what_is_not_named_stays_and_ignored_classes_go(tmp_path):
    labels = merge_classes(CAMVID, {"thing": ["car", "pole"], "ignore": "sky"})
    assert labels.classes[:2] == ("building", "thing")
    assert labels.num_classes == 9
    path = write_mask(tmp_path / "a.png", value=np.uint8([[0, 1, 2, 8, 11]]))
    assert read_mask(path, labels).tolist() == [[255, 0, 1, 1, 255]]


def test_merged_classes_can_be_merged_again(tmp_path):
    once = merge_classes(CITYSCAPES, CATEGORIES)
    twice = merge_classes(once, {"thing": ["object", "human", "vehicle"]})
    path = write_mask(tmp_path / "a.png", value=np.uint8([[13, 11, 5, 0]]))
    mask = read_mask(path, twice, train_ids=True)
    assert [twice.classes[i] for i in mask[0]] == ["thing"] * 3 + ["flat"]
    assert merged_like(CITYSCAPES, twice).ids == twice.ids


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ({"vehicle": ["car", "lorry"]}, "no class 'lorry' .* It has: sky, building"),
        ({"a": ["car"], "b": ["car"]}, "'car' is merged into 'a' and into 'b'"),
        ({"void": CAMVID.classes}, "Every class .* is ignored"),
    ],
)
def test_wrong_mappings(classes, message):
    with pytest.raises(ValueError, match=message):
        merge_classes(CAMVID, classes)


def test_labels_are_kept_as_json():
    labels = merge_classes(CITYSCAPES, {"vehicle": ["car", "bus"], "ignore": ["sky"]})
    config = json.loads(json.dumps(labels.get_config()))
    assert LabelSet.from_config(config) == labels


def test_a_model_file_keeps_the_mapping():
    from keras_frm.runtime.file_metadata import FileMetadata
    from keras_frm.runtime.tflite.metadata_zip import attach, read

    labels = merge_classes(CAMVID, {"vehicle": ["car", "bicyclist"]})
    about = FileMetadata(labels, "mask", 1, "int8", (360, 480), "0.1.0")
    assert read(attach(b"flatbuffer", about)) == about


def folder_of(tmp_path):
    return write_folder(tmp_path, count=3)  # image n is of class n: road, car, sky


def test_load_dataset_with_merged_labels(tmp_path):
    own = keras_frm.folder_preset(folder_of(tmp_path)).labels
    labels = keras_frm.merge_classes(own, {"rest": ["sky", "road"]})
    data = load_dataset(
        "folder", tmp_path, "train", batch_size=1, augment=False, labels=labels
    )
    assert data.labels.classes == ("rest", "car")
    assert [int(label[0, 0, 0]) for _, label in data] == [0, 1, 0]


def test_a_preset_with_merged_labels(tmp_path):
    own = keras_frm.folder_preset(folder_of(tmp_path))
    labels = merge_classes(own.labels, {"ignore": ["car"]})
    chosen = Preset.from_config(dataclasses.replace(own, labels=labels).get_config())
    data = load_dataset(chosen, tmp_path, "train", batch_size=1, augment=False)
    assert [int(label[0, 0, 0]) for _, label in data] == [0, 255, 1]


def test_synthetic_scenes_with_merged_labels():
    labels = merge_classes(CITYSCAPES, CATEGORIES)
    options = {"batch_size": 1, "count": 1, "augment": False, "resize": (64, 128)}
    (whole,) = [label for _, label in load_dataset("synthetic", **options)]
    (merged,) = [
        label for _, label in load_dataset("synthetic", labels=labels, **options)
    ]
    table = np.full(256, 255)
    for train_id, (_, own) in enumerate(labels.merges):
        table[train_id] = labels.classes.index(own)
    np.testing.assert_array_equal(merged, table[whole.numpy()])


def test_labels_of_other_data_are_refused(tmp_path):
    folder_of(tmp_path)
    labels = merge_classes(CAMVID, {"thing": ["car"]})
    with pytest.raises(ValueError, match="merged from sky, building"):
        load_dataset("folder", tmp_path, "train", labels=labels)
    other = LabelSet("x", ("a", "b", "c"), ((1, 1, 1), (2, 2, 2), (3, 3, 3)))
    with pytest.raises(ValueError, match="labels names a, b, c, and the data have"):
        load_dataset("folder", tmp_path, "train", labels=other)


def test_check_data_counts_merged_classes(tmp_path):
    own = keras_frm.folder_preset(folder_of(tmp_path)).labels
    labels = merge_classes(own, {"rest": ["sky", "road"]})
    report = check_data("folder", tmp_path, "train", labels=labels)
    assert report.class_pixels == (2 * 192, 192, 0)


def test_cityscapes_files_of_both_kinds(tmp_path):
    write_image(tmp_path / "leftImg8bit/val/ulm/a_leftImg8bit.png", (1, 1))
    write_image(tmp_path / "leftImg8bit/val/ulm/b_leftImg8bit.png", (1, 1))
    write_mask(tmp_path / "gtFine/val/ulm/a_gtFine_labelIds.png", (1, 1), 26)
    write_mask(tmp_path / "gtFine/val/ulm/b_gtFine_labelTrainIds.png", (1, 1), 13)
    labels = merge_classes(CITYSCAPES, CATEGORIES)
    listing = find_pairs("cityscapes", tmp_path, "val", labels=labels)
    assert [int(listing.read(pair)[1][0, 0]) for pair in listing.pairs] == [6, 6]


# === On the command line ===


def merge_file(tmp_path, text):
    path = tmp_path / "merge.csv"
    path.write_text(text)
    return path


def test_merge_file(tmp_path):
    path = merge_file(tmp_path, "name, class\ncar,vehicle\nbus, vehicle\nsky,ignore\n")
    assert read_merge_file(path) == {"vehicle": ["car", "bus"], "ignore": ["sky"]}
    chosen = chosen_preset("cityscapes", None, path)
    assert chosen.labels.num_classes == 17
    assert chosen.recipe == preset("cityscapes").recipe


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("car,vehicle\n", "does not start with the header name,class"),
        ("name,class\ncar\n", "line 2: it needs two names"),
        ("name,class\ncar,\n", "line 2: it needs two names"),
    ],
)
def test_wrong_merge_files(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_merge_file(merge_file(tmp_path, text))


def test_a_preset_follows_a_trained_model():
    chosen, labels = preset("cityscapes"), merge_classes(CITYSCAPES, CATEGORIES)
    assert with_merges(chosen, labels).labels.classes == labels.classes
    assert with_merges(chosen, None).labels is chosen.labels
    assert with_merges(chosen, CITYSCAPES).labels is chosen.labels
