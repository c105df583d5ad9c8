"""The pixel-contrastive loss against eq. 6 in loops, and its sampling."""

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from helpers import numerical_gradient

from keras_frm.losses import PixelContrastiveLoss, sample_anchors

IGNORED = reference.IGNORE_LABEL


def anchors(count=9, classes=3, channels=4, seed=0):
    """Return labels, float64 embeddings and validity of random anchors."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count).astype("int32")
    embeddings = rng.normal(size=(count, channels))
    return labels, embeddings, rng.random(count) < 0.8


def value_and_gradient(labels, embeddings, valid, temperature=0.1, dtype="float64"):
    loss = PixelContrastiveLoss(temperature, dtype=dtype)
    embeddings = tf.constant(embeddings)
    with tf.GradientTape() as tape:
        tape.watch(embeddings)
        value = loss.from_anchors(tf.constant(labels, "int32"), embeddings, valid)
    return float(value), np.asarray(tape.gradient(value, embeddings))


def sample(labels, predictions=None, **kwargs):
    """Return the flat positions of the anchors found, all predicted rightly or not."""
    labels = tf.constant(labels, "int32")
    predictions = labels if predictions is None else tf.constant(predictions, "int32")
    indices, valid = sample_anchors(labels, predictions, **kwargs)
    return np.asarray(indices)[np.asarray(valid)]


def street(shape=(3, 8, 9), classes=5, seed=0):
    """Return random labels with ignored pixels, and predictions half of them wrong."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, shape)
    predictions = np.where(rng.random(shape) < 0.5, labels, (labels + 1) % classes)
    labels[rng.random(shape) < 0.3] = IGNORED
    return labels, predictions


# === The loss ===


@pytest.mark.parametrize("temperature", [0.07, 0.1, 0.5, 1.0, 10.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equation_6(temperature, seed):
    case = anchors(seed=seed)
    value, _ = value_and_gradient(*case, temperature)
    expected = reference.contrastive(*case, temperature)
    assert expected > 0
    np.testing.assert_allclose(value, expected, rtol=1e-11)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_gradient(temperature):
    labels, embeddings, valid = anchors(count=7, channels=3)
    _, gradient = value_and_gradient(labels, embeddings, valid, temperature)
    expected = numerical_gradient(
        lambda x: reference.contrastive(labels, x, valid, temperature), embeddings
    )
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 1, 7), (3, 5, 1)])
@pytest.mark.parametrize("channel", [False, True])
def test_call_is_equation_6_when_everything_is_sampled(shape, channel):
    labels, _ = street(shape, classes=3)
    embeddings = np.random.default_rng(1).normal(size=(*shape, 4))
    loss = PixelContrastiveLoss(0.2, max_anchors=300, dtype="float64")
    value = loss(labels[..., np.newaxis] if channel else labels, embeddings)
    flat = labels.ravel()
    expected = reference.contrastive(
        flat, embeddings.reshape(-1, 4), flat != IGNORED, temperature=0.2
    )
    np.testing.assert_allclose(float(value), expected, rtol=1e-11)


def test_order_of_images_does_not_matter():
    labels, _ = street((4, 3, 4), classes=3)
    embeddings = np.random.default_rng(1).normal(size=(4, 3, 4, 5))
    loss = PixelContrastiveLoss(max_anchors=300, dtype="float64")
    value = float(loss(labels, embeddings))
    order = [2, 0, 3, 1]
    shuffled = float(loss(labels[order], embeddings[order]))
    np.testing.assert_allclose(shuffled, value, rtol=1e-11)


def test_length_of_embeddings_does_not_matter():
    labels, embeddings, valid = anchors()
    lengths = np.linspace(0.1, 50, len(labels))[:, np.newaxis]
    value, _ = value_and_gradient(labels, embeddings, valid)
    scaled, _ = value_and_gradient(labels, embeddings * lengths, valid)
    np.testing.assert_allclose(scaled, value, rtol=1e-11)


def test_invalid_anchors_count_nowhere():
    labels, embeddings, valid = anchors()
    value, gradient = value_and_gradient(labels, embeddings, valid)
    alone, _ = value_and_gradient(labels[valid], embeddings[valid], valid[valid])
    np.testing.assert_allclose(value, alone, rtol=1e-11)
    assert not gradient[~valid].any()


def test_a_step_along_the_gradient_separates_the_classes():
    labels, embeddings, valid = anchors()
    value, gradient = value_and_gradient(labels, embeddings, valid)
    assert value_and_gradient(labels, embeddings - 0.01 * gradient, valid)[0] < value


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("no_valid_anchor", 0.0),
        ("one_class_only", 0.0),
        ("one_pixel_of_each_class", 0.0),
        ("a_class_with_one_pixel", None),
        # Every similarity is 1: log(1 + negatives), as for zeros.
        ("identical_embeddings", np.log(4)),
        ("zero_embeddings", np.log(4)),
        ("one_zero_embedding", None),
        ("huge_embeddings", None),
    ],
)
def test_degenerate_cases_are_finite(case, expected, dtype):
    labels, embeddings, _ = anchors(count=6)
    labels, valid = np.array([0, 0, 0, 1, 1, 1]), np.ones(6, bool)
    if case == "no_valid_anchor":
        valid[:] = False
    elif case == "one_class_only":
        labels[:] = 3
    elif case == "one_pixel_of_each_class":
        labels = np.arange(6)
    elif case == "a_class_with_one_pixel":
        labels[5] = 2
    elif case == "identical_embeddings":
        embeddings[:] = embeddings[0]
    elif case == "zero_embeddings":
        embeddings[:] = 0
    elif case == "one_zero_embedding":
        embeddings[0] = 0
    elif case == "huge_embeddings":
        embeddings *= 1e4
    embeddings = embeddings.astype(dtype)
    computation = "float64" if dtype == "float64" else "float32"
    value, gradient = value_and_gradient(labels, embeddings, valid, dtype=computation)
    if expected is None:
        expected = reference.contrastive(labels, embeddings.astype(float), valid, 0.1)
        assert expected > 0
    np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-7)
    assert gradient.dtype == dtype
    assert np.isfinite(gradient).all()


def test_all_ignored():
    labels = np.full((2, 3, 4), IGNORED, "uint8")
    embeddings = tf.random.normal((2, 3, 4, 5))
    with tf.GradientTape() as tape:
        tape.watch(embeddings)
        value = PixelContrastiveLoss(max_anchors=16)(labels, embeddings)
    assert float(value) == 0
    assert not np.asarray(tape.gradient(value, embeddings)).any()


def test_zero_vectors_among_others_get_no_gradient():
    labels, embeddings, _ = anchors()
    embeddings[0] = 0
    _, gradient = value_and_gradient(labels, embeddings, np.ones(len(labels), bool))
    assert not gradient[0].any()
    assert gradient[1:].any(axis=-1).all()


def test_float16_embeddings_are_compared_in_float32():
    labels, embeddings, valid = anchors()
    half = embeddings.astype("float16")
    value, gradient = value_and_gradient(labels, half, valid, dtype="float32")
    expected = reference.contrastive(labels, half.astype("float64"), valid, 0.1)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("temperature", [0, -1])
def test_bad_temperature(temperature):
    with pytest.raises(ValueError, match=f"positive. Received: {temperature}"):
        PixelContrastiveLoss(temperature)


def test_config_round_trip():
    loss = PixelContrastiveLoss(0.3, 20, 7, 0, seed=5, name="contrast")
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(copy, PixelContrastiveLoss)
    assert copy.get_config() == loss.get_config()
    labels, _ = street()
    embeddings = np.random.default_rng(1).normal(size=(*labels.shape, 4))
    assert float(copy(labels, embeddings)) == float(loss(labels, embeddings)) > 0


# === The sampling ===


def test_never_samples_pixels_without_a_label():
    labels, predictions = street()
    labels[0, 0, :4] = -1, 256, 300, 10_000
    positions = sample(labels, predictions, max_anchors=1000, seed=0)
    sampled = labels.ravel()[positions]
    assert ((sampled >= 0) & (sampled < IGNORED)).all()
    assert len(positions) == ((labels >= 0) & (labels < IGNORED)).sum()


def test_another_ignore_label():
    labels, predictions = street()
    positions = sample(labels, predictions, max_anchors=2000, ignore_label=0)
    assert set(np.delete(labels.ravel(), positions)) == {0}


@pytest.mark.parametrize("max_anchors", [1, 7, 40, 1000])
@pytest.mark.parametrize("max_views", [1, 3, 100])
def test_distinct_pixels_within_the_bounds(max_anchors, max_views):
    labels, predictions = street()
    positions = sample(
        labels, predictions, max_anchors=max_anchors, max_views=max_views, seed=1
    )
    assert 0 < len(positions) <= max_anchors
    assert len(set(positions)) == len(positions)
    assert max(pair_counts(labels, positions).values()) <= max_views


@pytest.mark.parametrize(
    ("easy", "hard", "expected_hard"),
    [(20, 20, 5), (20, 2, 2), (3, 20, 7), (20, 0, 0), (0, 20, 10), (5, 5, 5)],
)
def test_half_of_the_views_are_hard_and_the_other_kind_fills_up(
    easy, hard, expected_hard
):
    labels = np.zeros((1, 1, easy + hard), int)
    predictions = np.array([[[0] * easy + [1] * hard]])
    positions = sample(labels, predictions, max_anchors=50, max_views=10, seed=0)
    assert len(positions) == 10
    assert (positions >= easy).sum() == expected_hard


def test_every_pair_of_image_and_class_gets_the_same_share():
    labels = np.zeros((2, 10, 10), int)
    labels[0, 0], labels[0, 1, :8], labels[1, 5] = 1, 2, 3  # 5 pairs
    labels[1, 9] = IGNORED
    counts = pair_counts(labels, sample(labels, max_anchors=42, seed=0))
    assert counts == {(0, 0): 8, (0, 1): 8, (0, 2): 8, (1, 0): 8, (1, 3): 8}


def test_all_pixels_of_a_small_class_are_taken():
    labels = np.zeros((1, 10, 10), int)
    labels[0, 3, 4:7] = 7
    positions = sample(labels, max_anchors=20, seed=0)
    counts = pair_counts(labels, positions)
    assert counts == {(0, 0): 10, (0, 7): 3}


def test_integer_seed_is_deterministic():
    labels, predictions = street()
    first, again, other = (
        sample(labels, predictions, max_anchors=30, seed=seed) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert set(first) != set(other)


def test_seed_generator_moves_on():
    labels, predictions = street()
    generator = keras.random.SeedGenerator(0)
    first, second = (
        sample(labels, predictions, max_anchors=30, seed=generator) for _ in range(2)
    )
    assert set(first) != set(second)


def test_every_pixel_of_a_class_can_be_sampled():
    labels = np.zeros((1, 2, 4), int)
    found = {
        int(i) for seed in range(40) for i in sample(labels, max_anchors=2, seed=seed)
    }
    assert found == set(range(8))


def test_more_pairs_than_anchors_leave_out_random_ones():
    """All images keep a chance, the last ones too."""
    labels = np.arange(6 * 4).reshape(6, 1, 4) % 4  # 24 pairs of one pixel
    found = np.zeros(24, int)
    for seed in range(60):
        positions = sample(labels, max_anchors=6, seed=seed)
        assert len(set(positions)) == 6
        found[positions] += 1
    assert found.min() >= 5  # 15 are expected
    assert found.max() <= 30


def test_all_ignored_samples_nothing():
    indices, valid = sample_anchors(
        np.full((2, 3, 4), IGNORED), np.zeros((2, 3, 4), int), max_anchors=5
    )
    assert indices.shape == (5,)
    assert not np.asarray(valid).any()


@pytest.mark.parametrize("seed", [None, 0])
def test_unknown_sizes_give_a_static_number_of_anchors(seed):
    spec = tf.TensorSpec([None] * 3, "int32")

    @tf.function(input_signature=[spec, spec])
    def traced(labels, predictions):
        indices, valid = sample_anchors(
            labels, predictions, max_anchors=30, max_views=8, seed=seed
        )
        assert indices.shape == (30,)
        assert valid.shape == (30,)
        return indices, valid

    for shape in ((3, 8, 9), (1, 1, 5)):
        labels, predictions = street(shape)
        indices, valid = (np.asarray(x) for x in traced(labels, predictions))
        assert (labels.ravel()[indices[valid]] != IGNORED).all()
        if seed is not None:
            eager = sample(labels, predictions, max_anchors=30, max_views=8, seed=seed)
            np.testing.assert_array_equal(indices[valid], eager)


def test_loss_compiles_with_xla():
    labels, _ = street((2, 3, 4), classes=3)
    embeddings = np.random.default_rng(1).normal(size=(2, 3, 4, 5)).astype("float32")
    loss = PixelContrastiveLoss(max_anchors=300)
    compiled = tf.function(loss, jit_compile=True)
    value = compiled(tf.constant(labels, "int32"), embeddings)
    np.testing.assert_allclose(float(value), float(loss(labels, embeddings)), rtol=1e-4)


def pair_counts(labels, positions):
    """Return how many positions lie in each (image, class)."""
    image = positions // labels[0].size
    pairs = zip(image.tolist(), labels.ravel()[positions].tolist(), strict=True)
    counts = {}
    for pair in pairs:
        counts[pair] = counts.get(pair, 0) + 1
    return counts
