"""Each rewriting of a graph alone: the same function, and where it must keep off.

The graphs are plain Keras ones that are not the package's network.
"""

import math
from collections import Counter

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_frm.export.tflite.checks import operations
from keras_frm.export.tflite.convert import to_tflite
from keras_frm.graph.convolutions import scale_inputs, scale_outputs
from keras_frm.graph.graph import Graph, named, rebuild, unchanged
from keras_frm.graph.passes.commute_resize import commute_resize
from keras_frm.graph.passes.fold_batch_norm import affine_of, fold_batch_norm
from keras_frm.graph.passes.fold_layer_scale import fold_layer_scale
from keras_frm.graph.passes.fold_rescaling import fold_rescaling
from keras_frm.graph.passes.fold_residual_scale import fold_residual_scale
from keras_frm.graph.passes.integer_layer_norm import integer_layer_norm
from keras_frm.graph.passes.integer_softmax import integer_softmax
from keras_frm.graph.passes.native_depthwise import (
    NativeDepthwiseConv2D,
    native_depthwise,
)
from keras_frm.graph.passes.scale_to_depthwise import scale_to_depthwise
from keras_frm.graph.passes.separate_activations import separate_activations
from keras_frm.graph.passes.sigmoid_gelu import sigmoid_gelu
from keras_frm.graph.passes.split_depthwise import split_depthwise
from keras_frm.layers.blocks.layer_scale import LayerScale
from keras_frm.runtime.backends.litert import load_interpreter
from keras_frm.targets import target_of

SIZE = (9, 14)


def image(size=SIZE, channels=3):
    return keras.Input(batch_shape=(1, *size, channels))


def graph_of(inputs, outputs):
    """A model with random weights, and BatchNorms that have seen random features."""
    model = keras.Model(inputs, outputs)
    random = np.random.default_rng(0)
    for weight in model.weights:
        low = 0.5 if "variance" in weight.path else -1.0
        weight.assign(random.uniform(low, 1.5, weight.shape))
    return model


def kinds(model):
    """How often a graph has each kind of operation."""
    return Counter(type(call.operation).__name__ for call in Graph(model).calls)


def outputs_of(model, seed=1):
    """What a model makes of random inputs: a list of arrays."""
    random = np.random.default_rng(seed)
    inputs = [random.normal(size=tensor.shape) for tensor in model.inputs]
    inputs = [ops.convert_to_tensor(x, "float32") for x in inputs]
    outputs = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    return [ops.convert_to_numpy(y) for y in keras.tree.flatten(outputs)]


def assert_same_function(model, rewritten, tolerance=1e-5):
    for expected, actual in zip(outputs_of(model), outputs_of(rewritten), strict=True):
        assert actual.shape == expected.shape
        worst = np.abs(actual - expected).max()
        assert worst <= tolerance * np.abs(expected).max()


def assert_left_alone(rewrite, model):
    """The rewriting finds nothing to do, and does nothing."""
    rewritten = rewrite(model)
    expected = [call.operation for call in Graph(model).calls]
    kept = [call.operation for call in Graph(rewritten).calls]
    assert [id(operation) for operation in kept] == [id(o) for o in expected]
    assert_same_function(model, rewritten)


# === Graph and rebuild ===


def test_graph_knows_makers_and_users():
    x = image()
    first, second = layers.Conv2D(4, 1), layers.ReLU()
    y = first(x)
    graph = Graph(keras.Model(x, ops.add(second(y), y)))
    conv, relu, add = graph.calls
    assert (conv.operation, relu.operation) == (first, second)
    assert graph.maker(conv.inputs[0]) is None
    assert graph.maker(add.inputs[1]) is conv
    assert graph.users(conv) == [relu, add]
    assert graph.only_user(conv) is None
    assert graph.only_user(relu) is add
    assert graph.only_user(add) is None
    assert [graph.is_output(call) for call in graph.calls] == [False, False, True]


def test_graph_counts_a_tensor_used_twice_by_one_operation():
    x = image()
    y = layers.ReLU()(x)
    graph = Graph(keras.Model(x, ops.multiply(y, y)))
    relu, product = graph.calls
    assert graph.users(relu) == [product, product]
    assert graph.only_user(relu) is None


def test_a_result_that_is_an_output_too_has_no_only_user():
    x = image()
    y = layers.ReLU()(x)
    graph = Graph(keras.Model(x, [y, ops.sigmoid(y)]))
    assert graph.only_user(graph.calls[0]) is None


def test_graph_knows_shared_layers():
    x = image()
    conv, relu = layers.Conv2D(3, 1), layers.ReLU()
    graph = Graph(keras.Model(x, conv(relu(conv(x)))))
    assert [graph.is_shared(call) for call in graph.calls] == [True, False, True]


def test_reading_a_graph_leaves_the_model_as_it_was():
    x = image()
    model = graph_of(x, layers.ReLU()(layers.Conv2D(4, 1)(x)))
    before, config = outputs_of(model), model.get_config()
    Graph(model)
    np.testing.assert_array_equal(outputs_of(model)[0], before[0])
    assert model.get_config() == config


def test_rebuild_replaces_and_keeps_the_others():
    x = image()
    conv, relu = layers.Conv2D(4, 1), layers.ReLU()
    model = graph_of(x, relu(conv(x)))
    rebuilt = rebuild(model, {relu: lambda y: named(ops.negative(y), "minus")})
    assert [o.name for o in rebuilt.operations[1:]] == [conv.name, "minus"]
    assert rebuilt.get_layer(conv.name) is conv
    assert kinds(model)["ReLU"] == 1
    plain = keras.Model(model.inputs, conv.output)
    np.testing.assert_array_equal(outputs_of(rebuilt)[0], -outputs_of(plain)[0])


def test_rebuild_leaves_training_out_for_replacements():
    x = image()
    norm = layers.BatchNormalization()
    model = graph_of(x, norm(x, training=False))
    assert outputs_of(rebuild(model, {norm: unchanged}))[0].shape == (1, *SIZE, 3)


# === Convolutions ===


@pytest.mark.parametrize(
    "layer",
    [
        layers.Conv2D(6, 3, padding="same"),
        layers.Conv2D(6, 3, groups=3, use_bias=False),
        layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
        layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False),
        layers.Dense(6),
    ],
    ids=lambda layer: layer.name,
)
def test_scale_outputs(layer):
    x = image()
    model = graph_of(x, layer(x))
    random = np.random.default_rng(2)
    scale, offset = random.normal(size=(2, 6))
    new = graph_of_layer(scale_outputs(layer, scale, offset), model)
    expected = outputs_of(model)[0] * scale + offset
    np.testing.assert_allclose(outputs_of(new)[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [layers.Conv2D(4, 1), layers.Conv2D(4, 1, strides=2), layers.Dense(4)],
    ids=lambda layer: layer.name,
)
def test_scale_inputs(layer):
    x = image()
    model = graph_of(x, layer(x))
    scale, offset = np.array([2.0, -1, 0.5]), np.array([1.0, 0, -3])
    new = graph_of_layer(scale_inputs(layer, scale, offset), model)
    shifted = layers.Rescaling(scale.tolist(), offset.tolist())
    other = keras.Model(x, layer(shifted(x)))
    np.testing.assert_allclose(
        outputs_of(new)[0], outputs_of(other)[0], rtol=1e-4, atol=1e-5
    )


def graph_of_layer(layer, like):
    """A model of one layer that has its weights already."""
    x = keras.Input(batch_shape=like.input.shape)
    return keras.Model(x, layer(x))


# === fold_batch_norm ===


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.Conv2D(5, 3, strides=2, padding="same"),
        lambda: layers.Conv2D(6, 3, groups=3, use_bias=False),
        lambda: layers.DepthwiseConv2D(5, depth_multiplier=2, padding="same"),
        lambda: layers.Dense(5, use_bias=False),
    ],
)
def test_batch_norm_after_a_convolution_folds(make):
    x = image()
    y = make()(x)
    y = layers.BatchNormalization(epsilon=0.1)(y)
    model = graph_of(x, ops.relu(y))
    folded = fold_batch_norm(model)
    assert "BatchNormalization" not in kinds(folded)
    assert sum(kinds(folded).values()) == 2
    assert_same_function(model, folded)


def test_batch_norm_without_gamma_and_beta_folds():
    x = image()
    y = layers.BatchNormalization(center=False, scale=False)(layers.Conv2D(4, 1)(x))
    model = graph_of(x, y)
    assert kinds(fold_batch_norm(model)) == {"Conv2D": 1}
    assert_same_function(model, fold_batch_norm(model))


def test_affine_of_a_batch_norm():
    norm = layers.BatchNormalization(epsilon=0.25)
    norm.build((None, 2))
    norm.set_weights(np.array([[3, 1], [0.5, 0], [2, -1], [3.75, 0]]))
    scale, offset = affine_of(norm)
    np.testing.assert_allclose(scale, [1.5, 2])
    np.testing.assert_allclose(offset, [-2.5, 2])


def test_batch_norm_before_pointwise_convolutions_folds_into_all_of_them():
    x = image()
    y = layers.BatchNormalization()(ops.relu(x))
    model = graph_of(x, [layers.Conv2D(4, 1)(y), layers.Dense(2)(y)])
    folded = fold_batch_norm(model)
    assert kinds(folded) == {"Relu": 1, "Conv2D": 1, "Dense": 1}
    assert_same_function(model, folded)


def test_batch_norm_with_a_residual_keeps_its_factor_on_the_branch():
    x = image()
    y = layers.BatchNormalization()(ops.relu(x))
    inner = layers.Conv2D(3, 1)(ops.gelu(layers.Conv2D(8, 1)(y)))
    for total in (ops.add(y, inner), layers.Add()([inner, y])):
        model = graph_of(x, total)
        folded = fold_batch_norm(model)
        assert "BatchNormalization" not in kinds(folded)
        assert kinds(folded)["LayerScale"] == 1
        assert_same_function(model, folded)


def test_batch_norm_whose_convolution_feeds_the_same_addition():
    x = image()
    y = layers.BatchNormalization()(ops.relu(x))
    model = graph_of(x, ops.add(y, layers.Conv2D(3, 1)(y)))
    folded = fold_batch_norm(model)
    assert kinds(folded) == {"Relu": 1, "Conv2D": 1, "LayerScale": 1, "Add": 1}
    assert_same_function(model, folded)


def test_batch_norms_on_both_sides_of_a_convolution_fold():
    x = image()
    y = layers.BatchNormalization()(ops.relu(x))
    model = graph_of(x, layers.BatchNormalization()(layers.Conv2D(4, 1)(y)))
    assert kinds(fold_batch_norm(model)) == {"Relu": 1, "Conv2D": 1}
    assert_same_function(model, fold_batch_norm(model))


def norm_before_padded_convolution(x, norm):
    return layers.Conv2D(4, 3, padding="same")(norm(ops.relu(x)))


def norm_before_grouped_convolution(x, norm):
    return layers.Conv2D(6, 1, groups=3)(norm(ops.relu(x)))


def norm_before_depthwise_convolution(x, norm):
    return layers.DepthwiseConv2D(1)(norm(ops.relu(x)))


def norm_with_a_user_that_cannot_take_it(x, norm):
    y = norm(ops.relu(x))
    return [layers.Conv2D(4, 1)(y), ops.relu(y)]


def norm_that_is_an_output(x, norm):
    y = norm(ops.relu(x))
    return [layers.Conv2D(4, 1)(y), y]


def convolution_that_is_an_output(x, norm):
    y = layers.Conv2D(3, 1)(x)
    return [y, ops.relu(norm(y))]


def convolution_with_two_users(x, norm):
    y = layers.Conv2D(3, 1)(x)
    return ops.multiply(ops.sigmoid(y), norm(y))


def relu_between(x, norm):
    return ops.relu(norm(ops.relu(layers.Conv2D(3, 1)(x))))


def convolution_with_an_activation(x, norm):
    return ops.relu(norm(layers.Conv2D(3, 1, activation="tanh")(x)))


def shared_convolution(x, norm):
    conv = layers.Conv2D(3, 1)
    return ops.relu(norm(conv(ops.relu(conv(x)))))


def shared_norm(x, norm):
    y = norm(layers.Conv2D(3, 1)(x))
    return norm(layers.Conv2D(3, 1)(ops.relu(y)))


def norm_added_to_itself(x, norm):
    y = norm(ops.relu(x))
    return ops.add(y, y)


def norm_added_to_a_constant(x, norm):
    return ops.add(norm(ops.relu(x)), 1.0)


def norm_added_to_one_broadcast_channel(x, norm):
    return ops.add(norm(ops.relu(x)), layers.Conv2D(1, 1)(x))


def norm_added_to_a_convolution_with_another_user(x, norm):
    y = layers.Conv2D(3, 1)(x)
    return [ops.add(norm(ops.relu(x)), y), ops.relu(y)]


@pytest.mark.parametrize(
    "make",
    [
        norm_before_padded_convolution,
        norm_before_grouped_convolution,
        norm_before_depthwise_convolution,
        norm_with_a_user_that_cannot_take_it,
        norm_that_is_an_output,
        convolution_that_is_an_output,
        convolution_with_two_users,
        relu_between,
        convolution_with_an_activation,
        shared_convolution,
        shared_norm,
        norm_added_to_itself,
        norm_added_to_a_constant,
        norm_added_to_one_broadcast_channel,
        norm_added_to_a_convolution_with_another_user,
    ],
)
def test_batch_norm_stays(make):
    x = image()
    norm = layers.BatchNormalization()
    assert_left_alone(fold_batch_norm, graph_of(x, make(x, norm)))


def test_batch_norm_over_another_axis_stays():
    x = image()
    y = layers.BatchNormalization(axis=1)(layers.Conv2D(4, 1)(x))
    assert_left_alone(fold_batch_norm, graph_of(x, y))


# === Layer scales ===


def test_layer_scales_fold_into_the_convolution():
    x = image()
    y = LayerScale()(LayerScale()(layers.Conv2D(4, 3, use_bias=False)(x)))
    model = graph_of(x, y)
    assert kinds(fold_layer_scale(model)) == {"Conv2D": 1}
    assert_same_function(model, fold_layer_scale(model))


def test_layer_scale_goes_through_an_addition():
    x = image()
    inner = layers.DepthwiseConv2D(3, padding="same")(x)
    model = graph_of(x, LayerScale()(ops.add(ops.relu(x), inner)))
    folded = fold_layer_scale(model)
    assert kinds(folded) == {"Relu": 1, "DepthwiseConv2D": 1, "LayerScale": 1, "Add": 1}
    graph = Graph(folded)
    (scale,) = (call for call in graph.calls if kind(call) == "LayerScale")
    assert kind(graph.maker(scale.inputs[0])) == "Relu"
    assert_same_function(model, folded)


def scale_after_relu(x):
    return LayerScale()(ops.relu(x))


def scale_of_the_input(x):
    return LayerScale()(x)


def scale_after_a_convolution_with_two_users(x):
    y = layers.Conv2D(3, 1)(x)
    return ops.add(LayerScale()(y), ops.relu(y))


def scale_after_a_shared_convolution(x):
    conv = layers.Conv2D(3, 1)
    return LayerScale()(conv(ops.relu(conv(x))))


def shared_scale(x):
    scale = LayerScale()
    return scale(layers.Conv2D(3, 1)(ops.relu(scale(layers.Conv2D(3, 1)(x)))))


def scale_after_adding_a_constant(x):
    return LayerScale()(ops.add(layers.Conv2D(3, 1)(x), 2.0))


def scale_after_a_sum_of_three(x):
    return LayerScale()(layers.Add()([x, ops.relu(x), ops.sigmoid(x)]))


def scale_after_a_sum_with_one_broadcast_channel(x):
    return LayerScale()(ops.add(x, layers.Conv2D(1, 1)(x)))


@pytest.mark.parametrize(
    "make",
    [
        scale_after_relu,
        scale_of_the_input,
        scale_after_a_convolution_with_two_users,
        scale_after_a_shared_convolution,
        shared_scale,
        scale_after_adding_a_constant,
        scale_after_a_sum_of_three,
        scale_after_a_sum_with_one_broadcast_channel,
    ],
)
def test_layer_scale_stays(make):
    x = image()
    assert_left_alone(fold_layer_scale, graph_of(x, make(x)))


@pytest.mark.parametrize("outer_first", [True, False])
@pytest.mark.parametrize("scale_first", [True, False])
def test_residual_around_a_scaled_branch_merges(outer_first, scale_first):
    x = image()
    y = ops.relu(x)
    terms = [LayerScale()(y), layers.Conv2D(3, 1)(y)]
    inner = ops.add(*(terms if scale_first else terms[::-1]))
    model = graph_of(x, ops.add(y, inner) if outer_first else ops.add(inner, y))
    merged = fold_residual_scale(model)
    assert kinds(merged) == {"Relu": 1, "LayerScale": 1, "Conv2D": 1, "Add": 1}
    assert_same_function(model, merged)


def residual_of_another_tensor(x):
    y = ops.relu(x)
    return ops.add(x, ops.add(LayerScale()(y), layers.Conv2D(3, 1)(y)))


def residual_whose_sum_is_used_again(x):
    inner = ops.add(LayerScale()(x), layers.Conv2D(3, 1)(x))
    return ops.multiply(ops.add(x, inner), inner)


def residual_whose_scale_is_used_again(x):
    scaled = LayerScale()(x)
    return ops.multiply(
        ops.add(x, ops.add(scaled, layers.Conv2D(3, 1)(x))), ops.relu(scaled)
    )


def residual_of_three_terms(x):
    inner = ops.add(LayerScale()(x), layers.Conv2D(3, 1)(x))
    return layers.Add()([x, inner, ops.relu(x)])


@pytest.mark.parametrize(
    "make",
    [
        residual_of_another_tensor,
        residual_whose_sum_is_used_again,
        residual_whose_scale_is_used_again,
        residual_of_three_terms,
    ],
)
def test_residual_stays(make):
    x = image()
    assert_left_alone(fold_residual_scale, graph_of(x, make(x)))


# === fold_rescaling ===

MEAN_STD = ([1 / 58, 1 / 57, 1 / 59], [-2.1, -2.0, -1.8])


@pytest.mark.parametrize(
    "make",
    [
        lambda x: layers.Conv2D(4, 3, strides=2, padding="same")(x),
        lambda x: layers.Conv2D(4, 3, use_bias=False)(layers.ZeroPadding2D(1)(x)),
        lambda x: layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")(x),
        lambda x: layers.Dense(4)(x),
    ],
)
@pytest.mark.parametrize("constants", [MEAN_STD, (1 / 127.5, -1.0), (0.02, 0.0)])
def test_rescaling_becomes_a_shift(make, constants):
    x = image()
    model = graph_of(x, make(layers.Rescaling(*constants)(x)))
    folded = fold_rescaling(model)
    shift = next(
        call.operation
        for call in Graph(folded).calls
        if isinstance(call.operation, layers.Rescaling)
    )
    assert np.all(np.asarray(shift.scale) == 1)
    assert_same_function(model, folded)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: layers.Conv2D(6, 1, groups=3)(x),
        lambda x: layers.Conv2D(4, 1)(ops.relu(x)),
        lambda x: layers.Conv2D(4, 1, activation="relu")(x),
        lambda x: ops.add(layers.Conv2D(3, 1)(x), x),
    ],
)
def test_rescaling_stays(make):
    x = image()
    model = graph_of(x, make(layers.Rescaling(*MEAN_STD)(x)))
    assert_left_alone(fold_rescaling, model)


def test_rescaling_by_zero_stays():
    x = image()
    model = graph_of(x, layers.Conv2D(4, 1)(layers.Rescaling([1.0, 0.0, 2.0], 1.0)(x)))
    assert_left_alone(fold_rescaling, model)


# === split_depthwise ===


@pytest.mark.parametrize("size", [(23, 30), (11, 24), (24, 11)])
@pytest.mark.parametrize("dilation", [1, 3])
@pytest.mark.parametrize(("multiplier", "use_bias"), [(1, True), (2, True), (2, False)])
def test_large_depthwise_becomes_three(size, dilation, multiplier, use_bias):
    x = image(size, channels=4)
    layer = layers.DepthwiseConv2D(
        7,
        padding="same",
        dilation_rate=dilation,
        depth_multiplier=multiplier,
        use_bias=use_bias,
    )
    model = graph_of(x, layer(x))
    split = split_depthwise(model)
    assert kinds(split) == {"DepthwiseConv2D": 3, "Add": 2}
    sizes = [c.operation.kernel_size for c in convolutions(split)]
    assert max(math.prod(size) for size in sizes) == 25
    assert_same_function(model, split)


@pytest.mark.parametrize(
    ("size", "parts"),
    [((9, 9), 1), ((9, 10), 2), ((10, 9), 2), ((10, 10), 3), ((1, 30), 2), ((2, 3), 1)],
)
def test_parts_that_see_only_padding_are_left_out(size, parts):
    x = image(size)
    model = graph_of(x, layers.DepthwiseConv2D(7, padding="same", dilation_rate=3)(x))
    split = split_depthwise(model)
    assert kinds(split)["DepthwiseConv2D"] == parts
    assert_same_function(model, split)


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 7},
        {"kernel_size": 7, "padding": "same", "strides": 2},
        {"kernel_size": 5, "padding": "same"},
        {"kernel_size": 7, "padding": "same", "activation": "relu"},
    ],
    ids=["valid", "strided", "5x5", "activation"],
)
def test_other_depthwise_convolutions_stay(options):
    x = image((16, 17))
    model = graph_of(x, layers.DepthwiseConv2D(**options)(x))
    assert_left_alone(split_depthwise, model)


def test_shared_or_full_7x7_convolutions_stay():
    x = image()
    shared = layers.DepthwiseConv2D(7, padding="same")
    y = shared(ops.sigmoid(shared(x)))
    model = graph_of(x, layers.Conv2D(3, 7, padding="same")(y))
    assert_left_alone(split_depthwise, model)


def convolutions(model):
    """The calls of convolutions of a graph."""
    kinds_of = (layers.Conv2D, layers.DepthwiseConv2D)
    return [c for c in Graph(model).calls if isinstance(c.operation, kinds_of)]


# === commute_resize ===


def joined(tensors):
    return ops.concatenate(tensors, axis=-1)


def pyramid(sizes, channels, full):
    """Inputs of some sizes, and the same upsampled where they are smaller."""
    inputs = [image(s, c) for s, c in zip(sizes, channels, strict=True)]
    resized = [
        x if s == full else ops.image.resize(x, full)
        for x, s in zip(inputs, sizes, strict=True)
    ]
    return inputs, resized


@pytest.mark.parametrize(
    ("kernel", "use_bias"), [(1, True), (3, True), (3, False), (5, True)]
)
@pytest.mark.parametrize(
    ("full", "sizes"),
    [
        ((12, 16), [(12, 16), (6, 8), (3, 4)]),
        ((11, 17), [(11, 17), (6, 9), (3, 5)]),
        ((12, 16), [(6, 8), (12, 16), (12, 16), (3, 16)]),
        ((12, 16), [(6, 8), (3, 4)]),
        ((7, 5), [(1, 1), (7, 5)]),
    ],
    ids=["pyramid", "odd", "two direct, different ratios", "none direct", "one pixel"],
)
def test_convolution_runs_before_the_resizing(kernel, use_bias, full, sizes):
    channels = range(2, 2 + len(sizes))
    inputs, resized = pyramid(sizes, channels, full)
    layer = layers.Conv2D(4, kernel, padding="same", use_bias=use_bias)
    model = graph_of(inputs, ops.relu(layer(joined(resized))))
    commuted = commute_resize(model)
    assert_same_function(model, commuted)
    upsampled = sum(size != full for size in sizes)
    direct = len(sizes) - upsampled
    found = convolutions(commuted)
    assert len(found) == upsampled * kernel**2 + bool(direct)
    assert all(
        call.operation.kernel_size == (1, 1)
        for call in found
        if call.inputs[0].shape[1:3] != full
    )
    # Nothing but the direct members is concatenated; none of the wide maps is.
    assert kinds(commuted)["Concatenate"] == (direct > 1)
    assert kinds(commuted)["Resize"] == upsampled * kernel * (kernel + 1)


def test_commuting_takes_the_concatenation_layer_too():
    inputs, resized = pyramid([(8, 8), (4, 4)], (2, 3), (8, 8))
    layer = layers.Conv2D(4, 3, padding="same")
    model = graph_of(inputs, layer(layers.Concatenate()(resized)))
    commuted = commute_resize(model)
    assert "Concatenate" not in kinds(commuted)
    assert_same_function(model, commuted)


def concatenation_of_rows(full, small):
    full, small = image(full), image(small)
    together = ops.concatenate([full, ops.image.resize(small, full.shape[1:3])], axis=1)
    return [full, small], layers.Conv2D(4, 3, padding="same")(together)


def downsampled_member(full, small):
    full, small = image(full), image(small)
    together = joined([ops.image.resize(full, small.shape[1:3]), small])
    return [full, small], layers.Conv2D(4, 3, padding="same")(together)


def member_that_shrinks_one_way(full, small):
    wide, full = image((small[0], 2 * full[1])), image(full)
    together = joined([full, ops.image.resize(wide, full.shape[1:3])])
    return [full, wide], layers.Conv2D(4, 3, padding="same")(together)


def commuting(full, small, between=None, resize=None, **options):
    """A graph that would commute but for one thing."""
    full, small = image(full), image(small)
    options = {"kernel_size": 3, "padding": "same", **options}
    size = full.shape[1:3]
    together = joined([full, ops.image.resize(small, size, **(resize or {}))])
    y = layers.Conv2D(6, **options)(between(together) if between else together)
    return [full, small], y


def upsampled_with_two_users(full, small):
    full, small = image(full), image(small)
    large = ops.image.resize(small, full.shape[1:3])
    y = layers.Conv2D(3, 3, padding="same")(joined([full, large]))
    return [full, small], ops.add(y, large)


def concatenation_that_is_an_output(full, small):
    full, small = image(full), image(small)
    together = joined([full, ops.image.resize(small, full.shape[1:3])])
    return [full, small], [layers.Conv2D(4, 1)(together), together]


def shared_convolution_after_concatenations(full, small):
    full, small = image(full), image(small)
    conv = layers.Conv2D(3, 3, padding="same")
    large = [ops.image.resize(small, full.shape[1:3]) for _ in range(2)]
    y = conv(joined([full, large[0]]))
    return [full, small], conv(joined([y, large[1]]))


@pytest.mark.parametrize(
    "make",
    [
        concatenation_of_rows,
        downsampled_member,
        member_that_shrinks_one_way,
        upsampled_with_two_users,
        concatenation_that_is_an_output,
        shared_convolution_after_concatenations,
        lambda *sizes: commuting(*sizes, between=ops.relu),
        lambda *sizes: commuting(*sizes, padding="valid"),
        lambda *sizes: commuting(*sizes, strides=2),
        lambda *sizes: commuting(*sizes, dilation_rate=2),
        lambda *sizes: commuting(*sizes, groups=3),
        lambda *sizes: commuting(*sizes, kernel_size=2),
        lambda *sizes: commuting(*sizes, kernel_size=(1, 3)),
        lambda *sizes: commuting(*sizes, activation="relu"),
        lambda *sizes: commuting(*sizes, resize={"interpolation": "nearest"}),
        lambda *sizes: commuting(*sizes, resize={"crop_to_aspect_ratio": True}),
        lambda *sizes: commuting(*sizes, resize={"pad_to_aspect_ratio": True}),
    ],
    ids=lambda make: make.__name__,
)
def test_resizing_stays(make):
    assert_left_alone(commute_resize, graph_of(*make((8, 12), (4, 4))))


# === sigmoid_gelu ===


def gelu(x):
    return ops.gelu(x, approximate=False)


def test_each_gelu_is_close_to_the_exact_one():
    x = keras.Input(batch_shape=(1, 4001))
    model = keras.Model(x, gelu(x))
    numbers = np.linspace(-10, 10, 4001, dtype=np.float32)[None]
    exact = np.array([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in numbers[0]])
    error = np.abs(sigmoid_gelu(model)(numbers).numpy()[0] - exact)
    assert 0.015 < error.max() <= 0.021
    assert kinds(sigmoid_gelu(model)) == {"Multiply": 2, "Sigmoid": 1}


def with_sigmoid_form(model):
    """The same graph with GELUs computed as x sigmoid(1.702 x)."""
    gelus = [c.operation for c in Graph(model).calls if kind(c) == "Gelu"]
    form = {g: lambda x: ops.multiply(x, ops.sigmoid(1.702 * x)) for g in gelus}
    return rebuild(model, form)


def kind(call):
    return type(call.operation).__name__


def gelu_between_convolutions(x):
    y = layers.Conv2D(4, 3, padding="same")(gelu(layers.Conv2D(5, 1)(x)))
    return y, {"Conv2D": 2, "Sigmoid": 1, "Multiply": 1}


def gelu_with_an_attention(x):
    y = gelu(layers.Conv2D(5, 1, use_bias=False)(x))
    attention = layers.Conv2D(5, 1)(layers.DepthwiseConv2D(3, padding="same")(y))
    counts = {"Conv2D": 3, "DepthwiseConv2D": 1, "Sigmoid": 1, "Multiply": 2}
    return layers.Conv2D(3, 1)(ops.multiply(y, attention)), counts


def product_of_two_gelus(x):
    left, right = (gelu(layers.Conv2D(5, 1)(x)) for _ in range(2))
    counts = {"Conv2D": 3, "Sigmoid": 2, "Multiply": 3}
    return layers.Conv2D(3, 1)(ops.multiply(left, right)), counts


def product_of_products_of_a_gelu(x):
    y = gelu(layers.Conv2D(5, 1)(x))
    left, right = (ops.multiply(y, layers.Conv2D(5, 1)(x)) for _ in range(2))
    counts = {"Conv2D": 4, "Sigmoid": 1, "Multiply": 4}
    return layers.Conv2D(3, 1)(ops.multiply(left, right)), counts


def two_gelus_in_a_row(x):
    y = gelu(layers.Conv2D(4, 1)(gelu(layers.Conv2D(5, 1)(x))))
    return layers.Conv2D(3, 1)(y), {"Conv2D": 3, "Sigmoid": 2, "Multiply": 2}


@pytest.mark.parametrize(
    "make",
    [
        gelu_between_convolutions,
        gelu_with_an_attention,
        product_of_two_gelus,
        product_of_products_of_a_gelu,
        two_gelus_in_a_row,
    ],
)
def test_gelu_factors_fold(make):
    x = image()
    outputs, expected = make(x)
    model = graph_of(x, outputs)
    assert kinds(sigmoid_gelu(model)) == expected
    assert_same_function(with_sigmoid_form(model), sigmoid_gelu(model))


def gelu_of_the_input(x):
    return layers.Conv2D(3, 1)(gelu(x))


def gelu_that_is_an_output(x):
    return gelu(layers.Conv2D(3, 1)(x))


def gelu_before_an_addition(x):
    y = gelu(layers.Conv2D(3, 1)(x))
    return layers.Conv2D(3, 1)(ops.add(y, x))


def gelu_times_itself(x):
    y = gelu(layers.Conv2D(3, 1)(x))
    return layers.Conv2D(3, 1)(ops.multiply(y, y))


def gelu_times_a_constant(x):
    return layers.Conv2D(3, 1)(ops.multiply(gelu(layers.Conv2D(3, 1)(x)), 2.0))


def gelu_of_a_convolution_with_two_users(x):
    y = layers.Conv2D(3, 1)(x)
    return ops.add(layers.Conv2D(3, 1)(gelu(y)), y)


def gelu_before_a_convolution_with_an_activation(x):
    return layers.Conv2D(3, 1, activation="tanh")(gelu(layers.Conv2D(3, 1)(x)))


def gelu_before_a_shared_convolution(x):
    conv = layers.Conv2D(3, 1)
    return conv(ops.relu(conv(gelu(layers.Conv2D(3, 1)(x)))))


def gelu_after_a_shared_convolution(x):
    conv = layers.Conv2D(3, 1)
    return conv(layers.Conv2D(3, 1)(gelu(conv(x))))


@pytest.mark.parametrize(
    "make",
    [
        gelu_of_the_input,
        gelu_that_is_an_output,
        gelu_before_an_addition,
        gelu_times_itself,
        gelu_times_a_constant,
        gelu_of_a_convolution_with_two_users,
        gelu_before_a_convolution_with_an_activation,
        gelu_before_a_shared_convolution,
        gelu_after_a_shared_convolution,
    ],
)
def test_gelu_factors_stay_operations(make):
    x = image()
    model = graph_of(x, make(x))
    rewritten = sigmoid_gelu(model)
    assert "Gelu" not in kinds(rewritten)
    assert kinds(rewritten)["Multiply"] == kinds(model)["Multiply"] + 2
    assert_same_function(with_sigmoid_form(model), rewritten)


# === Depthwise convolutions in place of others ===


@pytest.mark.parametrize(
    ("make", "with_bias"),
    [
        (lambda: LayerScale(), False),
        (lambda: layers.Rescaling(*MEAN_STD), True),
        (lambda: layers.Rescaling(1 / 255), False),
        (lambda: layers.Rescaling(1.0, -3.0), True),
        (lambda: layers.BatchNormalization(), True),
    ],
)
def test_factors_become_depthwise_convolutions(make, with_bias):
    x = image()
    model = graph_of(x, ops.relu(make()(x)))
    rewritten = scale_to_depthwise(model)
    assert kinds(rewritten) == {"DepthwiseConv2D": 1, "Relu": 1}
    assert convolutions(rewritten)[0].operation.use_bias == with_bias
    assert_same_function(model, rewritten)


def test_factors_of_what_is_no_image_stay():
    x = keras.Input(batch_shape=(1, 7, 3))
    y = layers.BatchNormalization()(layers.Rescaling(2.0)(LayerScale()(x)))
    assert_left_alone(scale_to_depthwise, graph_of(x, y))


# === Integer operations in place of float ones ===


@pytest.mark.parametrize("channels", [5, 8, 64])
@pytest.mark.parametrize(
    "options",
    [{}, {"scale": False, "center": False}, {"scale": False}, {"axis": 3}],
)
def test_layer_norm_in_integer_operations(channels, options):
    x = image(channels=channels)
    # LayerNorm adds epsilon to the variance, the length is at least epsilon.
    norm = layers.LayerNormalization(epsilon=1e-9, **options)
    model = graph_of(x, norm(x))
    rewritten = integer_layer_norm(model)
    assert kinds(rewritten) == {
        "Mean": 1,
        "Subtract": 1,
        "UnitLength": 1,
        "DepthwiseConv2D": 1,
    }
    assert_same_function(model, rewritten, tolerance=1e-4)


def test_layer_norm_of_equal_channels_is_its_offset():
    x = image(channels=4)
    model = graph_of(x, layers.LayerNormalization(epsilon=1e-6)(x))
    actual = integer_layer_norm(model)(np.full((1, *SIZE, 4), 7.0))
    expected = np.broadcast_to(model.layers[1].beta, (1, *SIZE, 4))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


def test_layer_norm_with_a_large_epsilon_is_refused():
    x = image(channels=4)
    norm = layers.LayerNormalization(epsilon=1e-3, name="norm")
    with pytest.raises(ValueError, match=r"'norm' .* 4 channels.*'int8' keeps it"):
        integer_layer_norm(graph_of(x, norm(x)))


def layer_norm_over_the_image(x):
    return layers.LayerNormalization(axis=(1, 2, 3))(x)


def layer_norm_of_vectors(x):
    return layers.LayerNormalization()(layers.Flatten()(x))


@pytest.mark.parametrize("make", [layer_norm_over_the_image, layer_norm_of_vectors])
def test_layer_norm_stays(make):
    x = image()
    assert_left_alone(integer_layer_norm, graph_of(x, make(x)))


@pytest.mark.parametrize(
    "softmax",
    [
        lambda x: ops.softmax(x),
        lambda x: ops.softmax(x, axis=1),
        lambda x: layers.Softmax()(x),
        lambda x: ops.softmax(100 * x),
    ],
)
def test_softmax_in_integer_operations(softmax):
    x = image()
    model = graph_of(x, softmax(x))
    rewritten = integer_softmax(model)
    assert "Softmax" not in kinds(rewritten)
    assert kinds(rewritten)["Rsqrt"] == kinds(rewritten)["Exp"] == 1
    assert_same_function(model, rewritten)


@pytest.mark.parametrize("dilation", [2, (9, 3), (1, 4)])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_dilated_depthwise_becomes_the_native_one(dilation, padding):
    x = image((24, 19))
    layer = layers.DepthwiseConv2D(
        3, dilation_rate=dilation, padding=padding, activation="tanh"
    )
    model = graph_of(x, layer(x))
    assert kinds(native_depthwise(model)) == {"NativeDepthwiseConv2D": 1}
    # TensorFlow runs the operation on some processors only, its file runs on all.
    content = to_tflite(model, target_of("float32"))
    assert operations(content)["DEPTHWISE_CONV_2D"] == 1
    assert operations(content)["SPACE_TO_BATCH_ND"] == 0
    interpreter = load_interpreter(content, 1)
    given = np.random.default_rng(1).normal(size=x.shape).astype("float32")
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], given)
    interpreter.invoke()
    actual = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    expected = ops.convert_to_numpy(model(given, training=False))
    assert np.abs(actual - expected).max() <= 1e-5 * np.abs(expected).max()


def test_native_depthwise_is_for_dilation_only():
    x = image()
    layer = layers.DepthwiseConv2D(3, strides=2, padding="same")
    model = graph_of(x, layer(x))
    assert_left_alone(native_depthwise, model)
    assert not isinstance(native_depthwise(model).layers[1], NativeDepthwiseConv2D)


# === separate_activations ===


def chain(*parts):
    """A model that calls layers one after the other."""
    y = x = image()
    for part in parts:
        y = part(y)
    return graph_of(x, y)


def named_kinds(model):
    """Kind and name of each operation, in order."""
    calls = Graph(model).calls
    return [(type(call.operation).__name__, call.operation.name) for call in calls]


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.Conv2D(4, 3, activation="relu", name="c"), "ReLU"),
        (layers.Conv2D(4, 3, activation="relu6", name="c"), "Relu6"),
        (layers.Conv2D(4, 3, 2, "same", activation="gelu", name="c"), "Gelu"),
        (layers.Conv2D(4, 3, use_bias=False, activation="tanh", name="c"), "Tanh"),
        (layers.DepthwiseConv2D(3, activation="sigmoid", name="c"), "Sigmoid"),
        (layers.Dense(4, activation="softmax", name="c"), "Softmax"),
        (layers.Conv2D(4, 3, activation="hard_swish", name="c"), "HardSilu"),
        (layers.Conv2D(4, 3, activation=layers.LeakyReLU(), name="c"), "LeakyRelu"),
        (layers.SeparableConv2D(4, 3, activation="relu", name="c"), "ReLU"),
        (layers.Conv2DTranspose(4, 3, 2, activation="elu", name="c"), "Elu"),
        # No operation on KerasTensors.
        (layers.Dense(4, activation="mish", name="c"), "Activation"),
    ],
)
def test_activation_of_a_convolution_becomes_an_operation(layer, expected):
    model = chain(layer, layers.Conv2D(2, 1))
    separated = separate_activations(model)
    assert named_kinds(separated)[:2] == [
        (type(layer).__name__, "c"),
        (expected, "c.activation"),
    ]
    linear = Graph(separated).calls[0].operation
    assert linear.activation is keras.activations.linear
    assert layer.activation is not keras.activations.linear
    assert_same_function(model, separated)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (layers.Activation("relu", name="a"), "ReLU"),
        (layers.Activation("sigmoid", name="a"), "Sigmoid"),
        (layers.Activation("hard_swish", name="a"), "HardSilu"),
        (layers.LeakyReLU(0.2, name="a"), "LeakyRelu"),
        (layers.ReLU(negative_slope=0.1, name="a"), "LeakyRelu"),
        (layers.ELU(0.5, name="a"), "Elu"),
        (layers.ReLU(name="a"), "Relu"),
        (layers.ReLU(6, name="a"), "Relu6"),
        (layers.ReLU(6.0, name="a"), "Relu6"),
    ],
)
def test_activation_layer_becomes_an_operation(layer, expected):
    model = chain(layers.Conv2D(4, 3, name="c"), layer, layers.Conv2D(2, 1, name="d"))
    for weight in model.get_layer("c").weights:
        weight.assign(9 * weight)  # some numbers are above 6
    separated = separate_activations(model)
    assert named_kinds(separated)[1] == (expected, "a")
    assert_same_function(model, separated)


@pytest.mark.parametrize(
    "layer",
    [
        layers.ReLU(max_value=1.0),
        layers.ReLU(threshold=0.5),
        layers.ReLU(6.0, negative_slope=0.1),
        layers.Conv2D(4, 3),
    ],
)
def test_other_layers_are_left_alone(layer):
    assert_left_alone(separate_activations, chain(layers.Conv2D(4, 3), layer))


def test_linear_activations_fall_away():
    linear = layers.Activation("linear")
    model = chain(linear, layers.Conv2D(4, 3, name="c"), linear)
    separated = separate_activations(model)
    assert named_kinds(separated) == [("Conv2D", "c")]
    assert_same_function(model, separated)


@pytest.mark.parametrize(
    "shared",
    [
        layers.ReLU(name="a"),
        layers.Activation("tanh", name="a"),
        layers.Conv2D(3, 1, activation="relu", name="a"),
        layers.Conv2D(3, 1, activation="hard_swish", name="a"),
    ],
)
def test_layer_called_twice_gives_operations_of_two_names(shared):
    model = chain(layers.Conv2D(3, 3), shared, layers.Conv2D(3, 1), shared)
    separated = separate_activations(model)
    found = [name for kind, name in named_kinds(separated) if kind != "Conv2D"]
    first = "a.activation" if isinstance(shared, layers.Conv2D) else "a"
    assert found == [first, f"{first}_2"]
    assert_same_function(model, separated)
