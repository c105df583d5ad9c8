import numpy as np
import pytest
import tensorflow as tf

from keras_frm.data.augmentation import augment

PADDING = (124, 116, 104)


def ramp(height, width):
    """Return an image whose red is 4 x and green 4 y, with labels x and y."""
    y, x = np.mgrid[:height, :width]
    image = np.stack([4 * x, 4 * y, 0 * x], -1).astype(np.uint8)
    return image, x.astype(np.uint8), y.astype(np.uint8)


def run(image, label, seed, **options):
    image, label = augment(tf.constant(image), tf.constant(label), seed, **options)
    return image.numpy(), label.numpy()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("size", [(60, 60), (37, 61)])
def test_image_and_label_stay_within_half_a_pixel(size, seed):
    image, x, y = ramp(*size)
    for channel, label in ((0, x), (1, y)):
        view, ids = run(image, label, (seed, 3), crop=(41, 48))
        inside = ids != 255
        assert inside.any()
        # Half a source pixel, and half a grey level of rounding.
        error = np.abs(view[..., channel] / 4 - ids)[inside]
        assert error.max() <= 0.5 + 0.125


def test_scale_one_is_an_exact_crop():
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    _, x, y = ramp(30, 40)
    options = {"crop": (16, 24), "scale_range": (1, 1), "flip": False}
    view, columns = run(image, x, (5, 6), **options)
    _, rows = run(image, y, (5, 6), **options)
    top, left = rows[0, 0], columns[0, 0]
    np.testing.assert_array_equal(view, image[top : top + 16, left : left + 24])


def test_offsets_cover_the_image():
    image, x, _ = ramp(20, 30)
    options = {"crop": (16, 24), "scale_range": (1, 1), "flip": False}
    views = [run(image, x, (seed, 0), **options)[0] for seed in range(100)]
    assert {view[0, 0, 0] // 4 for view in views} == set(range(7))
    assert {view[0, 0, 1] // 4 for view in views} == set(range(5))


@pytest.mark.parametrize(("scale", "distinct"), [(2, 12), (1, 24), (0.5, 48)])
def test_scale_decides_how_much_is_seen(scale, distinct):
    image, x, _ = ramp(60, 60)
    _, ids = run(image, x, (1, 2), crop=(24, 24), scale_range=(scale, scale))
    assert abs(len(np.unique(ids)) - (distinct if scale >= 1 else 24)) <= 1
    assert abs(int(ids.max()) - int(ids.min()) + 1 - distinct) <= 2


def test_scales_fill_their_range():
    image, x, _ = ramp(60, 60)
    spans = [
        int(np.ptp(run(image, x, (seed, 7), crop=(16, 16))[1].astype(int)))
        for seed in range(60)
    ]
    assert min(spans) <= 9
    assert max(spans) >= 26


@pytest.mark.parametrize("size", [(6, 8), (6, 40), (40, 8), (1, 1)])
def test_small_image_is_padded(size):
    image = np.full((*size, 3), 200, np.uint8)
    label = np.full(size, 3, np.uint8)
    options = {"crop": (16, 16), "scale_range": (1, 1), "ignore_label": 77}
    view, ids = run(image, label, (0, 1), **options)
    seen = min(size[0], 16) * min(size[1], 16)
    assert (ids == 3).sum() == seen
    assert (ids == 77).sum() == 256 - seen
    assert (view[ids == 3] == 200).all()
    assert (view[ids == 77] == PADDING).all()


def test_small_image_lands_at_every_place():
    image, label = np.zeros((14, 15, 3), np.uint8), np.zeros((14, 15), np.uint8)
    places = set()
    for seed in range(60):
        _, ids = run(image, label, (seed, 1), crop=(16, 16), scale_range=(1, 1))
        places.add(tuple(np.argwhere(ids == 0)[0]))
    assert places == {(row, column) for row in range(3) for column in range(2)}


def test_every_other_view_is_mirrored():
    image, x, _ = ramp(16, 16)
    mirrored = 0
    for seed in range(100):
        view, ids = run(image, x, (seed, 2), crop=(16, 16), scale_range=(1, 1))
        mirrored += int(ids[0, 0] == 15)
        np.testing.assert_array_equal(view[..., 0], 4 * ids)
    assert 30 < mirrored < 70


def test_flip_can_be_left_out():
    image, x, _ = ramp(16, 16)
    for seed in range(20):
        options = {"crop": (16, 16), "scale_range": (1, 1), "flip": False}
        assert run(image, x, (seed, 2), **options)[1][0, 0] == 0


def test_labels_are_never_interpolated():
    label = np.random.default_rng(0).choice(np.uint8([0, 200]), (32, 32))
    image = np.zeros((32, 32, 3), np.uint8)
    for seed in range(10):
        _, ids = run(image, label, (seed, 0), crop=(40, 40))
        assert set(np.unique(ids)) <= {0, 200, 255}


def test_seed_decides_everything():
    image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    label = image[..., 0]
    options = {"crop": (24, 24), "colour_jitter": 0.3}
    first, again, other = (
        run(image, label, seed, **options) for seed in ((1, 2), (1, 2), (1, 3))
    )
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != other[0]).any()


def test_jitter_changes_colours_only():
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    _, x, _ = ramp(16, 16)
    options = {"crop": (16, 16), "scale_range": (1, 1), "flip": False}
    means = []
    for seed in range(30):
        view, ids = run(image, x, (seed, 0), colour_jitter=0.4, **options)
        np.testing.assert_array_equal(ids, x)
        means.append(view.mean() / image.mean())
    assert 0.55 < min(means) < 0.85
    assert 1.1 < max(means) < 1.45


def test_jitter_keeps_grey_grey_and_clips():
    image = np.repeat(np.uint8([0, 60, 250, 255] * 16).reshape(8, 8, 1), 3, -1)
    label = np.zeros((8, 8), np.uint8)
    for seed in range(10):
        options = {"crop": (8, 8), "scale_range": (1, 1), "flip": False}
        view, _ = run(image, label, (seed, 0), colour_jitter=0.9, **options)
        assert np.ptp(view.astype(int), axis=-1).max() <= 1
        # Order survives: nothing wrapped around.
        assert (np.diff(view[0, :4, 0].astype(int)) >= 0).all()


def test_jitter_leaves_the_padding_alone():
    image, label = np.full((4, 4, 3), 9, np.uint8), np.zeros((4, 4), np.uint8)
    view, ids = run(
        image, label, (0, 0), crop=(8, 8), scale_range=(1, 1), colour_jitter=0.9
    )
    assert (view[ids == 255] == PADDING).all()


def test_shapes_are_static_in_a_graph():
    @tf.function(input_signature=[tf.TensorSpec((None, None, 3), tf.uint8)])
    def view(image):
        label = tf.zeros(tf.shape(image)[:2], tf.uint8)
        image, label = augment(image, label, (0, 1), crop=(9, 11), colour_jitter=0.1)
        assert image.shape == (9, 11, 3)
        assert label.shape == (9, 11)
        return image, label

    image, label = view(tf.zeros((5, 30, 3), tf.uint8))
    assert image.dtype == label.dtype == tf.uint8
