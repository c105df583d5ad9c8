"""Integer arithmetic simulated in a graph: its tensors, their ranges, their numbers."""

import keras
import numpy as np
import pytest
from helpers import twelve_bits
from keras import layers, ops

from keras_frm.export.head import ClassIds
from keras_frm.graph.graph import Graph
from keras_frm.layers.blocks.layer_scale import LayerScale
from keras_frm.quantization.after_training import quantize_after_training
from keras_frm.quantization.calibrate import calibrate
from keras_frm.quantization.layers.fake_quant import FakeQuant
from keras_frm.quantization.layers.float_boundary import FloatBoundary
from keras_frm.quantization.plan import FIXED_RANGES, IMAGE, IMAGE_RANGE, Plan

SIZE = (8, 12)


def image():
    return keras.Input(batch_shape=(1, *SIZE, 3), name="image")


def conv(name, filters=4, **options):
    return layers.Conv2D(filters, 1, name=name, **options)


def graph_of(x, outputs):
    """A model with random weights."""
    keras.utils.set_random_seed(0)
    model = keras.Model(x, outputs)
    random = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(random.normal(0, 0.4, weight.shape))
    return model


def images(count=4, seed=0):
    random = np.random.default_rng(seed)
    brightness = random.integers(60, 256, count)
    return [
        random.integers(0, high, (*SIZE, 3)).astype(np.uint8) for high in brightness
    ]


def plan_of(model, **options):
    return Plan(Graph(model), **options)


def call_named(plan, name):
    return next(c for c in plan.graph.calls if c.operation.name == name)


def range_name(plan, name):
    """The name of the range of what an operation makes."""
    return plan.range_name(call_named(plan, name).outputs[0])


def named_op(function, *args, name, **kwargs):
    y = function(*args, **kwargs)
    y._keras_history.operation.name = name
    return y


# === Plan ===


def test_fused_activation_leaves_its_producer_without_a_range():
    x = image()
    plan = plan_of(graph_of(x, conv("after")(layers.ReLU(name="relu")(conv("c")(x)))))
    assert range_name(plan, "c") is None
    assert plan.is_integer(call_named(plan, "c"))
    assert range_name(plan, "relu") == "relu"
    assert set(plan.tensors_by_range()) == {IMAGE, "relu", "after"}


@pytest.mark.parametrize(
    "options", [{"negative_slope": 0.1}, {"max_value": 1.0}, {"threshold": 0.5}]
)
def test_relu_that_no_kernel_fuses_leaves_its_producer_a_range(options):
    x = image()
    relu = layers.ReLU(**options, name="relu")
    plan = plan_of(graph_of(x, conv("after")(relu(conv("c")(x)))))
    assert set(plan.tensors_by_range()) == {IMAGE, "c", "relu", "after"}


def test_activation_of_a_tensor_with_other_users_is_not_fused():
    x = image()
    y = conv("c")(x)
    product = ops.multiply(layers.ReLU(name="relu")(y), y)
    plan = plan_of(graph_of(x, product))
    assert range_name(plan, "c") == "c"
    assert range_name(plan, "relu") == "relu"


def test_activation_kept_in_float_is_not_fused():
    x = image()
    model = graph_of(x, layers.ReLU(name="relu")(conv("c")(x)))
    plan = plan_of(model, keep_float=["relu"])
    assert range_name(plan, "c") == "c"
    assert not plan.is_integer(call_named(plan, "relu"))


@pytest.mark.parametrize(
    "move",
    [
        lambda y: ops.image.resize(y, (16, 24)),
        lambda y: layers.MaxPooling2D(2)(y),
        lambda y: layers.ZeroPadding2D(1)(y),
        lambda y: ops.reshape(y, (1, -1, 4)),
        lambda y: y[:, :2],
    ],
)
def test_what_moves_numbers_shares_the_range(move):
    x = image()
    plan = plan_of(graph_of(x, move(conv("c")(x))))
    assert len(plan.tensors_by_range()) == 2  # the image and one for both
    assert plan.range_name(plan.graph.calls[-1].outputs[0]) == range_name(plan, "c")
    assert len(plan.tensors_by_range()[range_name(plan, "c")]) == 2


def test_means_of_windows_are_of_floats_where_floats_are_allowed():
    """XNNPACK has no kernel for integers: they would cut the graph in two."""
    x = image()
    model = graph_of(x, ops.average_pool(conv("c")(x), 2, 2))
    plan = plan_of(model)
    assert not plan.is_integer(plan.graph.calls[-1])
    plan = plan_of(model, integer_only=True)
    assert plan.range_name(plan.graph.calls[-1].outputs[0]) == range_name(plan, "c")


def test_members_of_a_concatenation_share_one_range():
    x = image()
    left, right = conv("left")(x), conv("right", strides=2)(x)
    large = named_op(ops.image.resize, right, SIZE, name="large")
    model = graph_of(x, named_op(ops.concatenate, [left, large], -1, name="joined"))
    plan = plan_of(model)
    shared = {range_name(plan, n) for n in ("left", "right", "large", "joined")}
    assert len(shared) == 1
    assert len(plan.tensors_by_range()) == 2
    ranges = calibrate(model, plan, images())
    probe = keras.Model(model.input, [left, right])
    extremes = [_extremes(probe(i[None].astype("float32"))) for i in images()]
    np.testing.assert_allclose(
        ranges[shared.pop()], np.mean(extremes, axis=0), rtol=1e-4
    )


def _extremes(tensors):
    """Smallest and largest number of all tensors."""
    arrays = [np.asarray(t) for t in tensors]
    return min(a.min() for a in arrays), max(a.max() for a in arrays)


def test_image_and_sigmoid_have_fixed_ranges():
    x = image()
    y = conv("c")(x)
    gated = ops.multiply(y, named_op(ops.sigmoid, y, name="gate"))
    model = graph_of(x, gated)
    ranges = calibrate(model, plan_of(model), images())
    assert ranges[IMAGE] == IMAGE_RANGE == (0, 255)
    assert ranges["gate"] == FIXED_RANGES["Sigmoid"] == (0, 255 / 256)
    assert ranges["c"] != IMAGE_RANGE


def joined_with_a_sigmoid():
    x = image()
    y = conv("c")(x)
    gate = named_op(ops.sigmoid, y, name="gate")
    return graph_of(x, named_op(ops.concatenate, [y, gate], -1, name="joined"))


def test_concatenation_with_a_sigmoid_is_of_floats():
    """In the sigmoid's range, the others would be cut off at 0 and 1."""
    plan = plan_of(joined_with_a_sigmoid())
    names = [range_name(plan, name) for name in ("c", "gate", "joined")]
    assert names == ["c", "gate", None]
    with pytest.raises(ValueError, match="Concatenate 'joined' has no integer kernel"):
        Plan(Graph(joined_with_a_sigmoid()), integer_only=True)


def test_concatenation_of_one_sigmoid_has_its_range():
    x = image()
    gate = named_op(ops.sigmoid, conv("c")(x), name="gate")
    both = named_op(ops.concatenate, [gate, gate], -1, name="joined")
    assert range_name(plan_of(graph_of(x, both)), "joined") == "gate"


def island():
    """Two convolutions with a LayerNorm and its addition between them."""
    x = image()
    y = conv("before")(x)
    total = named_op(ops.add, y, conv("other")(x), name="total")
    norm = layers.LayerNormalization(name="norm")(total)
    return graph_of(x, conv("after")(norm))


def test_layer_norm_is_a_float_island():
    plan = plan_of(island())
    norm, total, after = (call_named(plan, n) for n in ("norm", "total", "after"))
    assert not plan.is_integer(norm)
    assert plan.is_integer(total)
    assert plan.quantizes_input(after, norm.outputs[0])
    assert not plan.dequantizes_input(total, total.inputs[0])
    assert plan.dequantizes_input(norm, norm.inputs[0])
    assert not plan.quantizes_input(call_named(plan, "before"), plan.graph.inputs[0])
    # The float tensor needs a range where it becomes integer again.
    assert plan.range_name(norm.outputs[0]) == "norm"


def test_summands_share_one_range_with_their_sum():
    x = image()
    total = named_op(ops.add, conv("a")(x), conv("b")(x), name="total")
    plan = plan_of(graph_of(x, conv("c")(total)))
    assert len({range_name(plan, name) for name in ("a", "b", "total")}) == 1
    assert range_name(plan, "c") == "c"


def test_summands_share_one_range_with_the_activation_of_their_sum():
    x = image()
    total = named_op(ops.add, conv("a")(x), conv("b")(x), name="total")
    relu = layers.ReLU(name="relu")(total)
    plan = plan_of(graph_of(x, conv("c")(relu)))
    assert len({range_name(plan, name) for name in ("a", "b", "relu")}) == 1
    assert plan.output_range(call_named(plan, "total")) == range_name(plan, "relu")
    assert range_name(plan, "total") is None


def test_sum_with_a_tensor_of_fixed_range_has_its_own():
    x = image()
    gate = named_op(ops.sigmoid, conv("a")(x), name="gate")
    total = named_op(ops.add, gate, conv("b")(x), name="total")
    plan = plan_of(graph_of(x, total))
    assert len({range_name(plan, name) for name in ("gate", "b", "total")}) == 3


def test_sums_of_an_integer_only_plan_have_their_own_ranges():
    x = image()
    total = named_op(ops.add, conv("a")(x), conv("b")(x), name="total")
    plan = plan_of(graph_of(x, total), integer_only=True)
    assert len({range_name(plan, name) for name in ("a", "b", "total")}) == 3


def test_operations_between_float_ones_stay_float():
    x = image()
    y = layers.LayerNormalization(name="norm")(conv("c")(x))
    pooled = named_op(ops.average_pool, y, 2, 2, name="pool")
    total = named_op(ops.add, pooled, 1.0, name="total")
    plan = plan_of(graph_of(x, conv("last")(total)))
    assert not plan.is_integer(call_named(plan, "pool"))
    assert not plan.is_integer(call_named(plan, "total"))
    assert plan.is_integer(call_named(plan, "last"))


def test_class_ids_compare_integers_as_they_are():
    x = image()
    plan = plan_of(graph_of(x, ClassIds(name="mask")(conv("c")(x))))
    mask = call_named(plan, "mask")
    assert not plan.is_integer(mask)
    assert not plan.dequantizes_input(mask, mask.inputs[0])


@pytest.mark.parametrize(
    ("patterns", "floats"),
    [
        (["a"], {"a"}),
        (["head.*"], {"head.b", "head.c"}),
        (["*.b", "a"], {"a", "head.b"}),
        (["head"], set()),
        (["*"], {"a", "head.b", "head.c"}),
    ],
)
def test_keep_float(patterns, floats):
    x = image()
    plan = plan_of(
        graph_of(x, conv("head.c")(conv("head.b")(conv("a")(x)))), keep_float=patterns
    )
    calls = plan.graph.calls
    assert {c.operation.name for c in calls if not plan.is_integer(c)} == floats


def test_unknown_operation_names_itself_and_the_remedy():
    x = image()
    strange = named_op(ops.sin, conv("c")(x), name="strange")
    model = graph_of(x, conv("d")(strange))
    match = r"no rule for Sin 'strange'.*keep_float=\['strange'\]"
    with pytest.raises(ValueError, match=match):
        plan_of(model)
    quantised = quantize_after_training(model, images(), keep_float=["strange"])
    assert quantised.output.shape == (1, *SIZE, 4)


# === calibrate ===


def test_ranges_are_the_mean_of_the_images_extremes():
    x = image()
    model = graph_of(x, conv("d")(ops.relu(conv("c")(x))))
    hidden = model.layers[-1].input
    probe = keras.Model(model.input, [hidden, model.output])
    found = [probe(i[None].astype("float32")) for i in images()]
    ranges = calibrate(model, plan_of(model), images())
    names = [name for name in ranges if name not in (IMAGE, "d")]
    for name, arrays in zip([*names, "d"], zip(*found, strict=True), strict=True):
        arrays = np.stack(arrays).reshape(len(images()), -1).astype(np.float64)
        expected = arrays.min(1).mean(), arrays.max(1).mean()
        np.testing.assert_allclose(ranges[name], expected, rtol=1e-5)


def test_batches_and_single_images_give_the_same_ranges():
    x = image()
    model = graph_of(x, conv("c")(x))
    done = []
    single = calibrate(model, plan_of(model), images())
    batched = calibrate(
        model,
        plan_of(model),
        iter([np.stack(images()[:3]), images()[3]]),
        lambda count, total: done.append((count, total)),
    )
    assert single == batched
    assert done == [(1, None), (2, None), (3, None), (4, None)]


def test_constant_tensor_gets_a_range_of_some_width():
    x = image()
    model = graph_of(x, conv("c")(x))
    for weight in model.weights:
        weight.assign(ops.zeros_like(weight))
    low, high = calibrate(model, plan_of(model), images())["c"]
    assert low == 0 < high
    output = quantize_after_training(model, images())(np.stack(images()[:1]))
    np.testing.assert_array_equal(output, np.zeros((1, *SIZE, 4)))


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ([], "representative_data is empty"),
        ([np.zeros((4, 12, 3))], r"shape \(4, 12, 3\); the export takes \(8, 12, 3\)"),
        ([np.zeros((2, 8, 12, 1))], r"shape \(8, 12, 1\)"),
        ([np.zeros((8, 12))], r"shape \(12,\)|shape \(8, 12\)"),
    ],
    ids=["empty", "size", "channels", "grey"],
)
def test_calibration_images_that_do_not_fit(data, match):
    x = image()
    model = graph_of(x, conv("c")(x))
    with pytest.raises(ValueError, match=match):
        calibrate(model, plan_of(model), data)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_tensor_that_is_not_finite(wrong):
    x = image()
    model = graph_of(x, conv("d")(conv("c")(x)))
    bias = model.get_layer("d").bias
    bias.assign(np.array([0, 0, wrong, 0]))
    with pytest.raises(ValueError, match=r"'d' is not finite.*Check its weights"):
        calibrate(model, plan_of(model), images())


def test_nothing_left_to_quantise():
    x = image()
    model = graph_of(x, conv("c")(x))
    with pytest.raises(ValueError, match="nothing to quantise"):
        quantize_after_training(model, images(), keep_float=["*"])


# === FakeQuant and FloatBoundary ===


def rounded(x, low, high):
    """Jacob et al., eq. 12, with the zero point moved to an integer, in float64."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = twelve_bits((high - low) / 255)
    zero_point = np.clip(np.floor(-low / scale + 0.5), 0, 255)
    low, high = -zero_point * scale, (255 - zero_point) * scale
    clipped = np.clip(np.asarray(x, np.float64), low, high)
    return np.floor((clipped - low) / scale + 0.5) * scale + low


@pytest.mark.parametrize(
    ("low", "high"),
    [(-1, 1.02), (0, 6), (-3.7, 0.2), (2.0, 5.0), (-9, -4), (-1e-3, 50), (0, 255)],
)
def test_fake_quant(low, high):
    random = np.random.default_rng(0)
    width = max(high, 0) - min(low, 0)
    x = random.uniform(min(low, 0) - width / 4, max(high, 0) + width / 4, (40, 50))
    x = x.astype(np.float32)
    actual = ops.convert_to_numpy(FakeQuant(low, high)(x))
    expected = rounded(x, low, high)
    step = width / 255
    # Where float32 puts a number on the other side of a half, it is one step off.
    off = np.abs(actual - expected) > 1e-4 * step + 1e-5 * width
    assert off.mean() < 0.01
    assert np.abs(actual - expected).max() <= 1.001 * step
    assert len(np.unique(actual)) <= 256
    assert (actual == 0).any() or not (np.abs(x) < step / 4).any()


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (2.0, 5.0), (-9, -4), (-0.3, 7)])
def test_zero_stays_exactly_zero(low, high):
    assert ops.convert_to_numpy(FakeQuant(low, high)(np.zeros((1, 4)))).max() == 0


def test_numbers_outside_the_range_are_clipped():
    y = ops.convert_to_numpy(FakeQuant(0, 2.55)(np.array([[-7.0, 99.0]])))
    np.testing.assert_allclose(y, [[0, 2.55]], rtol=2e-4)


def test_float_boundary_changes_nothing():
    x = np.array([[0, -1e-20, 3.25, 1e30]], np.float32)
    np.testing.assert_allclose(FloatBoundary()(x), x, rtol=1e-7, atol=1e-29)


# === The quantised graph ===


def small_net():
    """Convolutions, a scale, a gate, a float island, a resize and a concatenation."""
    x = image()
    y = layers.Rescaling(1 / 64, -2, name="normalization")(x)
    y = ops.relu(layers.Conv2D(8, 3, 2, "same", name="stem")(y))
    gate = ops.sigmoid(layers.DepthwiseConv2D(3, padding="same", name="depthwise")(y))
    y = LayerScale(name="scale")(ops.multiply(y, gate))
    z = layers.LayerNormalization(name="norm")(y)
    skip = conv("skip")(layers.Rescaling(1 / 64, -2, name="normalization_2")(x))
    z = ops.concatenate([ops.image.resize(z, SIZE), skip], axis=-1)
    z = conv("mix", 8)(z)
    return graph_of(x, z)


def test_quantised_network_is_close_to_the_float_one():
    model = small_net()
    quantised = quantize_after_training(model, images()[:1])
    batch = images()[0][None].astype("float32")
    expected, actual = (ops.convert_to_numpy(m(batch)) for m in (model, quantised))
    error = np.abs(actual - expected)
    assert 0 < error.max() <= 0.1 * np.abs(expected).max()
    assert error.mean() <= 0.02 * np.abs(expected).max()
    assert len(np.unique(actual)) <= 256
    kinds = [type(layer).__name__ for layer in quantised.layers]
    # Before the LayerNorm, and after the float resizing that integers follow.
    assert kinds.count("FloatBoundary") == 2


def test_quantised_graph_rounds_what_its_plan_says():
    model = island()
    names = [layer.name for layer in quantize_after_training(model, images()).layers]
    assert {"image.range", "before.range", "other.range", "after.range"} <= set(names)
    assert "norm.range" in names, "where its result enters the integers"
    assert "total.range" in names
    assert "norm.float_0" in names


def test_a_tensor_with_several_users_is_rounded_once():
    x = image()
    norm = layers.LayerNormalization(name="norm")(conv("c")(x))
    model = graph_of(x, ops.add(conv("left")(norm), conv("right")(norm)))
    quantised = quantize_after_training(model, images())
    calls = [call.operation.name for call in Graph(quantised).calls]
    assert calls.count("norm.range") == calls.count("image.range") == 1
    graph = Graph(quantised)
    rounding = next(c for c in graph.calls if c.operation.name == "norm.range")
    assert {c.operation.name for c in graph.users(rounding)} == {"left", "right"}


def test_a_layer_called_twice_has_one_range():
    x = image()
    twice = conv("c", 3)
    quantised = quantize_after_training(graph_of(x, twice(twice(x))), images())
    calls = [call.operation.name for call in Graph(quantised).calls]
    assert calls == ["image.range", "c", "c.range", "c", "c.range"]


def test_quantised_network_of_one_pixel_images_of_one_colour():
    x = keras.Input(batch_shape=(1, 1, 1, 3), name="image")
    model = graph_of(x, conv("c")(x))
    quantised = quantize_after_training(model, [np.full((1, 1, 3), 200)])
    white = np.full((1, 1, 1, 3), 200.0)
    expected = ops.convert_to_numpy(model(white))
    np.testing.assert_allclose(
        quantised(white), expected, atol=np.ptp([*expected.flat, 0]) / 255
    )


def test_quantised_network_is_saved_and_loaded_in_safe_mode(tmp_path):
    quantised = quantize_after_training(small_net(), images())
    path = tmp_path / "quantised.keras"
    quantised.save(path)
    loaded = keras.saving.load_model(path, safe_mode=True)
    batch = images()[0][None].astype("float32")
    np.testing.assert_array_equal(loaded(batch), quantised(batch))
    for weight, other in zip(quantised.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(weight, other)
