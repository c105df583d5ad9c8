import cv2
import numpy as np
import pytest

from keras_frm.labels import CAMVID, CITYSCAPES, LabelSet
from keras_frm.runtime.draw import (
    colourise,
    grid,
    legend,
    overlay,
    overlay_with_legend,
    side_by_side,
)

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
THREE = LabelSet("three", ("one", "two", "three"), (RED, GREEN, BLUE))


def noise(size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def first_row(picture, colour):
    """The first row of pixels in which a colour occurs, None if nowhere."""
    rows = np.flatnonzero((picture == colour).all(axis=-1).any(axis=1))
    return rows[0] if rows.size else None


def test_colours_of_classes_and_ignored_pixels():
    mask = np.array([[0, 1, 2], [255, 3, 200]], np.uint8)
    expected = [[RED, GREEN, BLUE], [(0, 0, 0)] * 3]
    np.testing.assert_array_equal(colourise(mask, THREE.palette), expected)
    np.testing.assert_array_equal(colourise(mask, THREE.colours()), expected)


def test_overlay_blends_classes_and_leaves_ignored_pixels():
    image = noise((5, 7))
    mask = np.full((5, 7), 255, np.uint8)
    mask[0], mask[1] = 1, 77  # a class, and an id without a colour
    picture = overlay(image, mask, THREE.palette, alpha=0.25)
    blended = 0.75 * image[0] + 0.25 * np.array(GREEN)
    np.testing.assert_allclose(picture[0], blended, atol=0.51)
    np.testing.assert_array_equal(picture[1:], image[1:])


@pytest.mark.parametrize(("alpha", "colour"), [(0, None), (1, BLUE)])
def test_overlay_extremes(alpha, colour):
    image = noise((3, 4))
    picture = overlay(image, np.full((3, 4), 2, np.uint8), THREE.palette, alpha)
    expected = image if colour is None else np.broadcast_to(colour, image.shape)
    np.testing.assert_array_equal(picture, expected)


def test_overlay_with_255_colours_keeps_ignored_pixels():
    image = noise((2, 2))
    palette = np.full((256, 3), 9, np.uint8)
    picture = overlay(image, np.full((2, 2), 255, np.uint8), palette)
    np.testing.assert_array_equal(picture, image)


def test_inputs_are_not_changed():
    image, mask = noise((20, 20)), np.ones((20, 20), np.uint8)
    before = image.copy()
    overlay(image, mask, THREE.palette)
    overlay_with_legend(image, mask, THREE)
    side_by_side(image, mask, mask, THREE)
    np.testing.assert_array_equal(image, before)
    assert (mask == 1).all()


@pytest.mark.parametrize(
    ("image", "mask", "alpha", "message"),
    [
        (noise((4, 4)), np.zeros((4, 5), np.uint8), 0.5, "differ in size"),
        (noise((4, 4)), np.zeros((4, 4), int), 0.5, "mask must be"),
        (noise((4, 4)), np.zeros((4, 4, 1), np.uint8), 0.5, "mask must be"),
        (noise((4, 4)) / 255, np.zeros((4, 4), np.uint8), 0.5, "image must be"),
        (noise((4, 4))[..., 0], np.zeros((4, 4), np.uint8), 0.5, "image must be"),
        (noise((4, 4)), np.zeros((4, 4), np.uint8), 1.5, "alpha"),
        (noise((4, 4)), np.zeros((4, 4), np.uint8), float("nan"), "alpha"),
    ],
)
def test_overlay_refuses_what_does_not_fit(image, mask, alpha, message):
    with pytest.raises(ValueError, match=message):
        overlay(image, mask, THREE.palette, alpha)


def test_legend_lists_present_classes_by_share():
    mask = np.full((240, 320), 255, np.uint8)
    mask[:50], mask[50:80] = 2, 0
    panel = legend(mask, THREE)
    assert first_row(panel, BLUE) < first_row(panel, RED)
    assert first_row(panel, GREEN) is None


def test_legend_of_nothing_is_empty():
    panel = legend(np.full((240, 320), 255, np.uint8), THREE)
    assert len(np.unique(panel)) == 1


@pytest.mark.parametrize("labels", [THREE, CAMVID, CITYSCAPES], ids=lambda x: x.name)
@pytest.mark.parametrize("size", [(31, 47), (128, 256), (360, 480), (1080, 607)])
def test_legend_shows_every_class_at_every_size(labels, size):
    mask = (np.arange(size[0] * size[1]) % labels.num_classes).astype(np.uint8)
    panel = legend(mask.reshape(size), labels)
    for colour in labels.palette:
        assert first_row(panel, colour) is not None


@pytest.mark.parametrize("size", [(31, 47), (128, 256), (720, 1280)])
def test_pictures_with_legend_are_equal_in_size(size):
    image = noise(size)
    shapes = {
        overlay_with_legend(image, np.full(size, value, np.uint8), CITYSCAPES).shape
        for value in (0, 6, 255)
    }
    assert len(shapes) == 1
    picture = overlay_with_legend(image, np.full(size, 255, np.uint8), CITYSCAPES)
    np.testing.assert_array_equal(picture[: size[0], : size[1]], image)


def test_legend_stands_right_of_large_and_below_small_images():
    large, small = noise((720, 1280)), noise((64, 256))
    right = overlay_with_legend(large, large[..., 0], CITYSCAPES)
    below = overlay_with_legend(small, small[..., 0], CITYSCAPES)
    assert right.shape[0] == 720
    assert right.shape[1] > 1280
    assert below.shape[0] > 64


def test_legend_of_very_long_names_stays_small():
    labels = LabelSet("long", ("x" * 10_000, "naïve 道"), (RED, GREEN))
    panel = legend(np.array([[0, 1]] * 200, np.uint8), labels)
    assert panel.shape[1] < 1000


def test_side_by_side_shows_all_three():
    image = noise((40, 50))
    label, prediction = np.full((40, 50), 255, np.uint8), np.ones((40, 50), np.uint8)
    picture = side_by_side(image, label, prediction, THREE)
    third = picture.shape[1] // 3
    top = picture.shape[0] - 40
    np.testing.assert_array_equal(picture[top:, :50], image)
    assert not picture[top:, third : third + 50].any()
    assert (picture[top:, 2 * third : 2 * third + 50] == GREEN).all()
    with pytest.raises(ValueError, match="differ in size"):
        side_by_side(image, label[:9], prediction, THREE)


def test_grid_places_pictures_of_several_sizes():
    small, wide = np.full((2, 3, 3), 200, np.uint8), np.full((4, 5, 3), 90, np.uint8)
    picture = grid([small, wide, wide], columns=2)
    assert picture.shape == (8, 10, 3)
    assert (picture[:2, :3] == 200).all()
    assert (picture[:4, 5:] == 90).all()
    assert (picture[4:, :5] == 90).all()
    assert len(np.unique(picture)) == 3  # and the background


@pytest.mark.parametrize("pictures", [[], [np.zeros((2, 2), np.uint8)]])
def test_grid_refuses(pictures):
    with pytest.raises(ValueError, match="picture"):
        grid(pictures)


def test_real_image(data_dir):
    file = next((data_dir / "camvid" / "test").glob("*.jpg"))
    image = cv2.imread(str(file))[..., ::-1].copy()
    annotation = data_dir / "camvid" / "testannot" / f"{file.stem}.png"
    mask = cv2.imread(str(annotation), cv2.IMREAD_UNCHANGED)
    mask[mask == 11] = 255
    picture = overlay_with_legend(image, mask, CAMVID)
    ignored = np.flatnonzero(mask == 255)
    drawn = picture[:360, :480].reshape(-1, 3)
    np.testing.assert_array_equal(drawn[ignored], image.reshape(-1, 3)[ignored])
    road = first_row(picture[:, 480:], CAMVID.palette[3])
    assert road < first_row(picture[:, 480:], CAMVID.palette[2])  # more than poles
