"""The disentangled non-local block against eq. 2-3 in loops."""

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf
from helpers import numerical_gradient

from keras_frm.layers import DisentangledNonLocal

# A softmax over the one position of a 1x1 map is meant.
pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax over axis")

SIZES = [(1, 1), (1, 5), (3, 3), (4, 2), (5, 7)]


def block(size, channels=8, reduction=4, batch=2, seed=0):
    """Return a float64 block with weights that make sharp attention, and its input."""
    rng = np.random.default_rng(seed)
    layer = DisentangledNonLocal(reduction, dtype="float64")
    x = rng.normal(size=(batch, *size, channels))
    layer.build(x.shape)
    for weight in layer.weights:
        weight.assign(rng.normal(0, 0.8, weight.shape))
    return layer, x


def matrices(layer):
    """Return the four 1x1 convolutions as matrices."""
    return {
        name: np.asarray(getattr(layer, name).kernel)[0, 0]
        for name in ("query", "key", "mask", "value")
    }


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("channels", "reduction"), [(8, 4), (6, 2), (4, 1)])
def test_equations_2_and_3(size, channels, reduction):
    layer, x = block(size, channels, reduction)
    expected = reference.disentangled_non_local(x, **matrices(layer))
    np.testing.assert_allclose(np.asarray(layer(x)), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (3, 2)])
def test_gradient_of_the_input(size):
    layer, x = block(size, channels=4, reduction=2, batch=1)
    target = np.random.default_rng(1).normal(size=x.shape)
    tensor = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        loss = tf.reduce_sum(layer(tensor) * target)
    expected = numerical_gradient(
        lambda values: np.sum(
            reference.disentangled_non_local(values, **matrices(layer)) * target
        ),
        x,
    )
    gradient = tape.gradient(loss, tensor)
    np.testing.assert_allclose(np.asarray(gradient), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["query", "key", "mask", "value"])
def test_gradient_of_the_weights(name):
    layer, x = block((2, 3), channels=4, reduction=2)
    target = np.random.default_rng(1).normal(size=x.shape)
    kernel = getattr(layer, name).kernel
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(x) * target)
    gradient = np.asarray(tape.gradient(loss, kernel.value))[0, 0]
    given = matrices(layer)

    def function(matrix):
        out = reference.disentangled_non_local(x, **{**given, name: matrix})
        return np.sum(out * target)

    expected = numerical_gradient(function, given[name])
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-7)


def test_images_do_not_see_each_other():
    layer, x = block((3, 4), batch=3)
    alone = np.concatenate([np.asarray(layer(x[i : i + 1])) for i in range(3)])
    np.testing.assert_allclose(np.asarray(layer(x)), alone, rtol=1e-12)


def test_order_of_positions_only_moves_the_output():
    layer, x = block((1, 12), batch=1)
    order = np.random.default_rng(1).permutation(12)
    moved = np.asarray(layer(x[:, :, order]))
    np.testing.assert_allclose(moved, np.asarray(layer(x))[:, :, order], rtol=1e-12)


def test_unknown_sizes_in_a_graph():
    layer, x = block((3, 5))
    traced = tf.function(
        layer, input_signature=[tf.TensorSpec([None, None, None, 8], "float64")]
    )
    np.testing.assert_allclose(np.asarray(traced(x)), np.asarray(layer(x)), rtol=1e-12)
    assert traced(x[:1, :1, :1]).shape == (1, 1, 1, 8)


@pytest.mark.parametrize(
    ("policy", "tolerance"), [("mixed_float16", 0.01), ("mixed_bfloat16", 0.03)]
)
def test_mixed_precision_is_near_float64(policy, tolerance):
    exact, x = block((4, 5))
    layer = DisentangledNonLocal(dtype=policy)
    layer.build(x.shape)
    layer.set_weights(exact.get_weights())
    out = layer(x)
    assert keras.backend.standardize_dtype(out.dtype) == layer.compute_dtype
    assert layer.query.kernel.dtype == "float32"
    expected = np.asarray(exact(x))
    error = np.abs(np.asarray(out, "float64") - expected)
    assert error.max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_is_finite_with_large_inputs(policy):
    """The products of query and key pass float16's largest number, 65504."""
    rng = np.random.default_rng(0)
    layer = DisentangledNonLocal(dtype=policy)
    x = tf.constant(rng.normal(0, 2000, (1, 5, 6, 64)) + 5000, "float32")
    layer.build(x.shape)
    for name in ("query", "key"):
        getattr(layer, name).kernel.assign(rng.normal(0, 0.1, (1, 1, 64, 16)))
    query = np.asarray(layer.query(x), "float64")
    assert np.square(query - query.mean(axis=(1, 2))).sum(axis=-1).max() > 65504
    with tf.GradientTape() as tape:
        out = layer(x)
        loss = tf.reduce_mean(tf.cast(out, "float32"))
    assert np.isfinite(np.asarray(out, "float32")).all()
    for gradient in tape.gradient(loss, [w.value for w in layer.trainable_weights]):
        assert np.isfinite(np.asarray(gradient)).all()


def test_channels_that_the_reduction_does_not_divide():
    with pytest.raises(ValueError, match=r"multiple of reduction=4\. Received: 6"):
        DisentangledNonLocal(4).build((1, 3, 3, 6))
