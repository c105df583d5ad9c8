import dataclasses
import warnings

import numpy as np
import pytest
import tensorflow as tf
from data_files import write_folder, write_image, write_mask

import keras_frm
from keras_frm.data import examples
from keras_frm.data.class_file import read_class_file
from keras_frm.data.examples import resize_pair
from keras_frm.data.folder import folder_preset
from keras_frm.data.pipeline import load_dataset
from keras_frm.files import DataError, data_error
from keras_frm.labels import CITYSCAPES
from keras_frm.presets import PRESETS, registry


def batches(dataset):
    return [(image.numpy(), label.numpy()) for image, label in dataset]


def values(dataset):
    """Return the grey value that names each example of `write_folder`."""
    return [int(view[0, 0, 0]) for image, _ in batches(dataset) for view in image]


def assert_same(first, second):
    assert len(first) == len(second)
    for (image, label), (other_image, other_label) in zip(first, second, strict=True):
        np.testing.assert_array_equal(image, other_image)
        np.testing.assert_array_equal(label, other_label)


@pytest.fixture
def root(tmp_path):
    return write_folder(tmp_path, count=7)


@pytest.fixture
def textured(tmp_path):
    """A folder whose crops all differ."""
    write_folder(tmp_path, count=5)
    rng = np.random.default_rng(0)
    for n in range(5):
        ids = rng.integers(0, 3, (12, 16), np.uint8)
        write_mask(tmp_path / f"masks/train/{n:03d}.png", value=ids)
        write_mask(
            tmp_path / f"images/train/{n:03d}.png",
            value=np.repeat(ids[..., None], 3, 2),
        )
    return tmp_path


def test_plain_reading_keeps_order_and_values(root):
    dataset = load_dataset("folder", root, "train", batch_size=3, augment=False)
    assert values(dataset) == [0, 10, 20, 30, 40, 50, 60]
    assert [label[0, 0, 0] for _, label in batches(dataset)] == [0, 0, 0]
    assert [len(image) for image, _ in batches(dataset)] == [3, 3, 1]


def test_types_shapes_and_attributes(root):
    dataset = load_dataset("folder", root, "train", batch_size=3, crop=(8, 10))
    image, label = dataset.element_spec
    assert image == tf.TensorSpec((3, 8, 10, 3), tf.uint8)
    assert label == tf.TensorSpec((3, 8, 10), tf.uint8)
    assert dataset.labels.classes == ("road", "car", "sky")
    assert len(dataset.listing.pairs) == 7


@pytest.mark.parametrize(("drop", "count"), [(None, 2), (True, 2), (False, 3)])
def test_cardinality_is_known(root, drop, count):
    dataset = load_dataset(
        "folder", root, "train", batch_size=3, crop=(8, 8), drop_remainder=drop
    )
    assert int(dataset.cardinality()) == count
    assert len(batches(dataset)) == count


@pytest.mark.parametrize("workers", [1, 4])
def test_one_seed_gives_one_stream(textured, workers):
    def load(seed, workers=None):
        return batches(
            load_dataset(
                "folder",
                textured,
                "train",
                batch_size=2,
                crop=(9, 9),
                seed=seed,
                workers=workers,
                colour_jitter=0.2,
            )
        )

    assert_same(load(3), load(3, workers))
    assert any((a[0] != b[0]).any() for a, b in zip(load(3), load(4), strict=True))


def test_each_epoch_has_its_own_order_and_all_examples(root):
    dataset = load_dataset(
        "folder", root, "train", batch_size=1, augment=False, shuffle=True
    )
    epochs = [values(dataset) for _ in range(4)]
    assert len({tuple(epoch) for epoch in epochs}) > 1
    assert all(sorted(epoch) == [0, 10, 20, 30, 40, 50, 60] for epoch in epochs)


def test_each_epoch_has_its_own_crops(textured):
    def load():
        return load_dataset(
            "folder", textured, "train", batch_size=5, crop=(9, 9), shuffle=False
        )

    dataset = load()
    first, second = batches(dataset), batches(dataset)
    assert (first[0][0] != second[0][0]).any()
    again = load()
    assert_same(first, batches(again))
    assert_same(second, batches(again))


def test_image_and_label_belong_together(textured):
    dataset = load_dataset("folder", textured, "train", batch_size=1, crop=(9, 9))
    for image, label in batches(dataset):
        inside = label != 255
        difference = np.abs(image[..., 0].astype(int) - label)[inside]
        assert difference.max() <= 2
        assert (difference == 0).mean() > 0.5


def test_only_train_is_augmented_by_default(tmp_path):
    write_folder(tmp_path, count=3, split="val")
    dataset = load_dataset("folder", tmp_path, "val", batch_size=2)
    assert values(dataset) == [0, 10, 20]
    assert next(iter(dataset))[0].shape == (2, 12, 16, 3)


@pytest.mark.parametrize("split", [None, "all"])
def test_all_of_a_folder_is_to_train_on(root, split):
    plain = load_dataset("folder", root, split, batch_size=1, augment=False)
    assert values(plain) == [0, 10, 20, 30, 40, 50, 60]
    dataset = load_dataset("folder", root, split, batch_size=1, crop=(8, 10), seed=1)
    assert dataset.element_spec[0].shape == (1, 8, 10, 3)
    epochs = [[int(label.max()) for _, label in batches(dataset)] for _ in range(3)]
    assert len({tuple(epoch) for epoch in epochs}) > 1


# === What the preset gives ===


def augmented(**options):
    """A batch of the textured folder, cut and coloured."""
    return batches(load_dataset(**{"split": "train", "seed": 3, **options}))[0]


def test_folder_takes_the_recipe_of_its_preset(textured):
    chosen = folder_preset(textured)
    assert (chosen.name, chosen.dataset) == ("folder", "folder")
    assert chosen.labels.classes == read_class_file(textured / "classes.csv").classes
    camvid = PRESETS["camvid"]
    for field in ("crop", "scale_range", "colour_jitter", "batch_size", "epochs"):
        assert getattr(chosen, field) == getattr(camvid, field)
    by_name = augmented(name="folder", root=textured, batch_size=2)
    by_preset = augmented(name=chosen, root=textured, batch_size=2)
    by_hand = augmented(
        name="folder",
        root=textured,
        batch_size=2,
        crop=camvid.crop,
        scale_range=camvid.scale_range,
        colour_jitter=camvid.colour_jitter,
    )
    assert by_name[0].shape == (2, *camvid.crop, 3)
    assert_same([by_name], [by_preset])
    assert_same([by_name], [by_hand])


@pytest.mark.parametrize(
    "explicit", [{"colour_jitter": 0.0}, {"scale_range": (1, 1)}, {"crop": (9, 9)}]
)
def test_what_is_given_wins_over_the_preset(textured, explicit):
    chosen = dataclasses.replace(
        folder_preset(textured), crop=(8, 8), scale_range=(0.5, 0.9), colour_jitter=0.5
    )
    ours = augmented(name=chosen, root=textured, batch_size=5)
    given = augmented(name=chosen, root=textured, batch_size=5, **explicit)
    other = dataclasses.replace(chosen, **explicit)
    assert_same([given], [augmented(name=other, root=textured, batch_size=5)])
    assert given[0].shape != ours[0].shape or (given[0] != ours[0]).any()


def test_registered_preset_of_ones_own(textured, monkeypatch):
    monkeypatch.setattr("keras_frm.presets.registry.PRESETS", dict(PRESETS))
    monkeypatch.setattr("keras_frm.data.pipeline.PRESETS", registry.PRESETS)
    mine = dataclasses.replace(
        folder_preset(textured), name="mine", crop=(8, 10), batch_size=3
    )
    keras_frm.register_preset(mine)
    train = load_dataset("mine", textured)
    assert train.element_spec[0].shape == (3, 8, 10, 3)
    assert train.labels.classes == mine.labels.classes
    plain = load_dataset("mine", textured, augment=False)
    assert plain.element_spec[0].shape[0] is None  # one by one
    assert {len(image) for image, _ in batches(plain)} == {1}


def test_synthetic_trains_with_the_scales_of_its_preset():
    chosen = PRESETS["synthetic"]
    options = {"count": 2, "batch_size": 2}
    by_name = augmented(name="synthetic", **options)
    by_hand = augmented(name="synthetic", scale_range=chosen.scale_range, **options)
    assert_same([by_name], [by_hand])
    assert by_name[0].shape[1:3] == chosen.crop


def test_preset_with_other_classes_than_its_data(root):
    other = dataclasses.replace(PRESETS["camvid"], name="mine", dataset="folder")
    with pytest.raises(ValueError, match=r"'mine' has 11 classes and its data.* 3"):
        load_dataset(other, root)


def test_unknown_dataset_lists_the_right_ones():
    with pytest.raises(ValueError, match=r"bdd100k, camvid.* folder, synthetic"):
        load_dataset("kitti", "/")


@pytest.mark.parametrize("root", [None, "/nowhere"])
def test_folder_without_a_folder(root):
    with pytest.raises(ValueError, match=r"give its folder|no folder '/nowhere'"):
        load_dataset("folder", root)


# === Classes that stay ===

DERIVED = {
    "take": lambda dataset: dataset.take(2),
    "skip": lambda dataset: dataset.skip(1),
    "shard": lambda dataset: dataset.shard(2, 0),
    "map": lambda dataset: dataset.map(lambda image, label: (image, label)),
    "cache": lambda dataset: dataset.cache(),
    "prefetch": lambda dataset: dataset.prefetch(1),
    "repeat": lambda dataset: dataset.repeat(2),
    "batches": lambda dataset: dataset.unbatch().batch(2),
    "options": lambda dataset: dataset.with_options(tf.data.Options()),
    "apply": lambda dataset: dataset.apply(lambda d: d.take(1)),
    "chain": lambda dataset: dataset.unbatch().shuffle(3).batch(2).cache().take(1),
}


@pytest.mark.parametrize("derive", DERIVED.values(), ids=DERIVED)
def test_derived_datasets_keep_the_classes(root, derive):
    dataset = load_dataset("folder", root, augment=False)
    derived = derive(dataset)
    assert derived.labels is dataset.labels
    assert isinstance(derived, tf.data.Dataset)
    image, label = next(derived.as_numpy_iterator())
    assert image.shape == (*label.shape, 3)


def test_labelled_datasets_are_distributed_and_captured(root):
    dataset = load_dataset("folder", root, augment=False).take(4)
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    spread = strategy.experimental_distribute_dataset(dataset)
    assert len(list(spread)) == 4

    @tf.function
    def pixels():
        total = 0
        for _, label in dataset.take(2):
            total += tf.size(label)
        return total

    assert int(pixels()) == 2 * 12 * 16


def test_synthetic_scenes_have_a_crop():
    dataset = load_dataset("synthetic", split="train", batch_size=1, count=1)
    assert dataset.element_spec[0].shape == (1, 128, 256, 3)


def test_published_datasets_have_a_crop(tmp_path):
    write_image(tmp_path / "train/a.png", (360, 480))
    write_mask(tmp_path / "trainannot/a.png", (360, 480))
    dataset = load_dataset("camvid", tmp_path, "train", batch_size=1)
    assert dataset.element_spec[0].shape == (1, 352, 480, 3)


def test_too_few_examples_for_a_batch(root):
    with pytest.raises(ValueError, match="7 examples do not fill one batch of 8"):
        load_dataset("folder", root, "train", batch_size=8, crop=(8, 8))


def test_resize_before_batching(root):
    write_image(root / "images/train/003.png", (24, 20))
    write_mask(root / "masks/train/003.png", (24, 20), 1)
    dataset = load_dataset(
        "folder", root, "train", batch_size=7, augment=False, resize=(6, 8)
    )
    ((image, label),) = batches(dataset)
    assert image.shape == (7, 6, 8, 3)
    assert (label[3] == 1).all()


def test_different_sizes_share_no_batch(root):
    write_image(root / "images/train/003.png", (24, 20))
    write_mask(root / "masks/train/003.png", (24, 20))
    options = {"augment": False}
    sizes = [
        image.shape[1:3]
        for image, _ in batches(
            load_dataset("folder", root, "train", batch_size=1, **options)
        )
    ]
    assert sizes.count((24, 20)) == 1
    with pytest.raises(tf.errors.OpError) as caught:
        batches(load_dataset("folder", root, "train", batch_size=2, **options))
    message = str(data_error(caught.value))
    assert "003.png' is 20x24" in message
    assert "16x12" in message
    assert "batch_size=1" in message


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "images/train/002.png").write_bytes(b"x"), "002.png'"),
        (
            lambda root: write_mask(root / "masks/train/002.png", value=99),
            "label table 'folder': 99. Correct",
        ),
        (
            lambda root: write_mask(root / "masks/train/002.png", (3, 3)),
            "its mask '.*002.png' is 3x3",
        ),
    ],
)
def test_data_errors_can_be_found(root, damage, message):
    damage(root)
    with pytest.raises(tf.errors.OpError) as caught:
        batches(load_dataset("folder", root, "train", batch_size=2, crop=(8, 8)))
    error = data_error(caught.value)
    assert isinstance(error, DataError)
    with pytest.raises(DataError, match=message):
        raise error
    assert "\n" not in str(error)
    assert "Traceback" not in str(error)


def test_other_errors_are_no_data_errors():
    assert data_error(ValueError("shapes differ")) is None
    error = DataError("a.png is empty")
    assert data_error(error) is error


def test_left_out_files_are_warned_of_once_with_names(tmp_path):
    for name in ("a", "3d581db5-2564fb7e"):
        write_image(tmp_path / f"images/10k/val/{name}.jpg")
        write_mask(tmp_path / f"labels/sem_seg/masks/val/{name}.png")
    write_image(tmp_path / "images/10k/val/lonely.jpg")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dataset = load_dataset("bdd100k", tmp_path, "val", batch_size=1)
        assert len(batches(dataset)) == len(batches(dataset)) == 1
    messages = [str(w.message) for w in caught if w.category is UserWarning]
    assert messages == [
        "Left out, known to be broken: 3d581db5-2564fb7e.jpg",
        "Left out, without a mask: lonely.jpg",
    ]


def test_warning_points_at_the_caller(tmp_path):
    write_folder(tmp_path, count=1, split="val")
    write_image(tmp_path / "images/val/lonely.png")
    with pytest.warns(UserWarning, match="lonely") as caught:
        load_dataset("folder", tmp_path, "val", batch_size=1)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("size", [(6, 8), (24, 32), (7, 31)])
def test_resize_keeps_image_and_label_aligned(size):
    y, x = np.mgrid[:12, :16]
    image = np.stack([8 * x, 8 * y, 0 * x], -1).astype(np.uint8)
    small, columns = resize_pair(image, x.astype(np.uint8), size)
    _, rows = resize_pair(image, y.astype(np.uint8), size)
    assert small.shape == (*size, 3)
    # Half a source pixel, and a grey level of rounding.
    assert np.abs(small[..., 0] / 8 - columns).max() <= 0.5 + 0.125
    assert np.abs(small[..., 1] / 8 - rows).max() <= 0.5 + 0.125


def test_fit_sees_the_number_of_steps(root):
    import keras

    model = keras.Sequential([keras.layers.Input((8, 8, 3)), keras.layers.Conv2D(3, 1)])
    model.compile(
        "sgd", keras.losses.SparseCategoricalCrossentropy(True, ignore_class=255)
    )
    dataset = load_dataset("folder", root, "train", batch_size=2, crop=(8, 8))
    history = model.fit(dataset, epochs=2, shuffle=False, verbose=0)
    assert history.params["steps"] == 3


def scene(index, seed, size):
    image = np.full((*size, 3), index % 251, np.uint8)
    return image, np.full(size, index % 19, np.uint8)


@pytest.fixture
def scenes(monkeypatch):
    synthetic = pytest.importorskip("keras_frm.scenes")
    monkeypatch.setattr(synthetic, "render_scene", scene)


@pytest.mark.usefixtures("scenes")
def test_synthetic_splits_share_no_scene():
    options = {"batch_size": 1, "augment": False, "resize": (64, 128), "count": 3}
    train = load_dataset("synthetic", None, "train", **options)
    val = load_dataset("synthetic", None, "val", **options)
    assert values(train) == [0, 1, 2]
    assert values(val) == [(10_000_000 + n) % 251 for n in range(3)]
    assert train.labels is CITYSCAPES
    assert train.listing is None


@pytest.mark.usefixtures("scenes")
def test_synthetic_defaults():
    train = load_dataset("synthetic", split="train", batch_size=4, crop=(8, 8))
    val = load_dataset("synthetic", split="val", batch_size=4)
    assert int(train.cardinality()) == 100
    assert int(val.cardinality()) == 25
    assert val.element_spec[0].shape == (None, 256, 512, 3)


def test_synthetic_arguments():
    with pytest.raises(ValueError, match="no split 'test'"):
        examples.scene_examples(None, "test")
    with pytest.raises(ValueError, match="pass root=None"):
        examples.scene_examples("/data", "train")


def test_real_synthetic_scenes():
    pytest.importorskip("keras_frm.scenes")
    dataset = load_dataset(
        "synthetic",
        None,
        "train",
        batch_size=2,
        crop=(64, 96),
        resize=(128, 256),
        count=2,
    )
    ((image, label),) = batches(dataset)
    assert image.shape == (2, 64, 96, 3)
    assert len(np.unique(label)) > 2


def test_real_camvid_trains(data_dir):
    dataset = load_dataset(
        "camvid",
        data_dir / "camvid",
        "train",
        batch_size=2,
        resize=(180, 240),
        crop=(176, 240),
    )
    image, label = next(iter(dataset))
    assert image.shape == (2, 176, 240, 3)
    assert set(np.unique(label)) <= {*range(11), 255}
