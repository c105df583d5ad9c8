from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from keras_frm.labels import CITYSCAPES, IGNORE_LABEL
from keras_frm.scenes import render_scene

SMALL = (64, 128)
ROAD, TRAIN = (CITYSCAPES.classes.index(name) for name in ("road", "train"))


@pytest.fixture(scope="module")
def scenes():
    """Eighty small scenes: images (80, h, w, 3) and labels (80, h, w)."""
    pairs = [render_scene(index, seed=5, size=SMALL) for index in range(80)]
    return tuple(np.stack(arrays) for arrays in zip(*pairs, strict=True))


def class_iou(prediction, label):
    """IoU of each class that occurs in the label."""
    valid = label != IGNORE_LABEL
    prediction, label = prediction[valid], label[valid]
    return [
        np.sum((prediction == c) & (label == c))
        / np.sum((prediction == c) | (label == c))
        for c in np.unique(label)
    ]


def boundary(label):
    """Mark the pixels whose right or lower neighbour has another label."""
    edge = np.zeros(label.shape, bool)
    edge[:, :-1] |= label[:, :-1] != label[:, 1:]
    edge[:-1] |= label[:-1] != label[1:]
    return edge


def test_same_arguments_same_scene():
    first, second = (render_scene(4, 2, SMALL) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_scene_does_not_depend_on_order_or_threads(scenes):
    with ThreadPoolExecutor(4) as pool:
        again = list(pool.map(lambda i: render_scene(i, 5, SMALL), reversed(range(12))))
    for index, (image, label) in zip(reversed(range(12)), again, strict=True):
        np.testing.assert_array_equal(image, scenes[0][index])
        np.testing.assert_array_equal(label, scenes[1][index])


def test_global_random_state_is_neither_read_nor_changed():
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    first = render_scene(1, 1, SMALL)[0]
    np.testing.assert_array_equal(before, np.random.get_state()[1])
    np.random.seed(2)
    np.testing.assert_array_equal(first, render_scene(1, 1, SMALL)[0])


@pytest.mark.parametrize(("index", "seed"), [(1, 0), (0, 1)])
def test_other_index_or_seed_gives_another_scene(index, seed):
    image, label = render_scene(0, 0, SMALL)
    other_image, other_label = render_scene(index, seed, SMALL)
    assert np.mean(image != other_image) > 0.5
    assert np.mean(label != other_label) > 0.02


@pytest.mark.parametrize(
    "size", [(64, 128), (65, 129), (97, 203), (160, 128), (64, 400)]
)
def test_any_size_gives_arrays_of_that_size(size):
    image, label = render_scene(2, 3, size)
    assert image.shape == (*size, 3)
    assert label.shape == size
    assert image.dtype == label.dtype == np.uint8
    assert image.flags.c_contiguous
    assert label.flags.c_contiguous


def test_numpy_integers_are_accepted():
    image, _ = render_scene(np.int64(4), np.uint8(2), (np.int32(64), np.int32(128)))
    np.testing.assert_array_equal(image, render_scene(4, 2, SMALL)[0])


def test_labels_are_train_ids_or_ignored(scenes):
    assert set(np.unique(scenes[1])) <= {*range(CITYSCAPES.num_classes), IGNORE_LABEL}


def test_every_class_occurs(scenes):
    missing = set(range(CITYSCAPES.num_classes)) - set(np.unique(scenes[1]))
    assert not missing, [CITYSCAPES.classes[train_id] for train_id in missing]


def test_some_scenes_show_the_own_bonnet_and_only_at_the_bottom(scenes):
    ignored = scenes[1] == IGNORE_LABEL
    share = ignored.any(axis=(1, 2)).mean()
    assert 0.1 < share < 0.9
    assert not ignored[:, : SMALL[0] // 2].any()


def test_classes_have_a_long_tail(scenes):
    share = np.bincount(scenes[1].ravel(), minlength=256)[: CITYSCAPES.num_classes]
    share = dict(zip(CITYSCAPES.classes, share / share.sum(), strict=True))
    assert share["road"] > 10 * share["train"]
    assert min(share["road"], share["building"], share["vegetation"]) > 0.08
    assert share["car"] > 3 * max(share["truck"], share["bus"])
    for name in ("motorcycle", "bicycle", "rider", "traffic light"):
        assert 0 < share[name] < 0.02


def test_road_is_below_and_sky_is_above(scenes):
    rows = np.arange(SMALL[0])[None, :, None]
    for name, low, high in (("road", 0.6, 1.0), ("sky", 0.0, 0.4)):
        there = scenes[1] == CITYSCAPES.classes.index(name)
        middle = np.sum(rows * there) / there.sum() / SMALL[0]
        assert low < middle < high


def test_label_edges_lie_on_image_edges():
    """Moved by two pixels in any direction, the label fits the image less well."""
    shifts = [(0, 0), (2, 0), (-2, 0), (0, 2), (0, -2)]
    contrast = dict.fromkeys(shifts, 0.0)
    elsewhere = 0.0
    for index in range(8):
        image, label = render_scene(index, 9, (128, 256))
        grey = image.astype(float).mean(axis=2)
        step = np.abs(np.diff(grey, axis=1, append=grey[:, -1:]))
        step += np.abs(np.diff(grey, axis=0, append=grey[-1:]))
        inner = (slice(4, -4), slice(4, -4))
        for shift in shifts:
            edge = boundary(np.roll(label, shift, (0, 1)))[inner]
            contrast[shift] += step[inner][edge].mean()
        elsewhere += step[~boundary(label)].mean()
    assert contrast[0, 0] > 1.5 * elsewhere
    assert contrast[0, 0] > 1.15 * max(contrast[shift] for shift in shifts[1:])


def test_a_colour_table_does_not_solve_the_scenes(scenes):
    images, labels = scenes
    bins = (images // 16).astype(int) @ np.array([256, 16, 1])
    counts = np.zeros((4096, 256))
    np.add.at(counts, (bins[:55].ravel(), labels[:55].ravel()), 1)
    iou = class_iou(counts[:, :IGNORE_LABEL].argmax(axis=1)[bins[55:]], labels[55:])
    assert np.mean(iou) < 0.3


@pytest.mark.parametrize("size", [(63, 128), (64, 127), (1, 1), (0, 0)])
def test_too_small_a_size_is_refused(size):
    with pytest.raises(ValueError, match=r"too small .* at least 64x128"):
        render_scene(0, 0, size)


@pytest.mark.parametrize("size", [64, (64,), (64, 128, 3), (64.0, 128), "64x128", None])
def test_size_that_is_no_pair_of_integers_is_refused(size):
    with pytest.raises(TypeError, match=r"size must be|height must be an integer"):
        render_scene(0, 0, size)


@pytest.mark.parametrize("value", [1.0, "3", None, 1.5])
@pytest.mark.parametrize("name", ["index", "seed"])
def test_index_and_seed_must_be_integers(name, value):
    with pytest.raises(TypeError, match=f"{name} must be an integer"):
        render_scene(**{"index": 0, "seed": 0, name: value}, size=SMALL)


@pytest.mark.parametrize("name", ["index", "seed"])
def test_negative_index_and_seed_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be 0 or more, got -1"):
        render_scene(**{"index": 0, "seed": 0, name: -1}, size=SMALL)


def test_scenes_are_those_of_the_stored_picture():
    # Processors round otherwise here and there; whatever is drawn otherwise shifts
    # every draw after it, and with them most of the pixels.
    stored = cv2.imread(str(Path(__file__).parent / "scenes.png"), cv2.IMREAD_UNCHANGED)
    pairs = [render_scene(index, 0, SMALL) for index in range(4)]
    rendered = [np.dstack([image[..., ::-1], label]) for image, label in pairs]
    differ = (stored != np.concatenate(rendered)).any(axis=-1)
    assert differ.mean() < 0.002
