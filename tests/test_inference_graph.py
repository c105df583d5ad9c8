"""From the trained network to the graph that a device runs: the same masks."""

import functools
from collections import Counter

import keras
import numpy as np
import pytest
from helpers import randomise
from keras import layers, ops
from tiny import tiny_backbone, tiny_model

from keras_frm.export.head import ClassIds, with_head
from keras_frm.export.inference_graph import inference_graph
from keras_frm.graph.flatten import flatten
from keras_frm.graph.graph import Graph
from keras_frm.graph.strides import at_stride
from keras_frm.layers.blocks.conv_block import ConvBlock
from keras_frm.layers.composite import CompositeLayer
from keras_frm.networks.registry import build_network
from keras_frm.quantization.plan import Plan

SIZE = (64, 96)


@functools.cache
def network(context="frm"):
    """A tiny network with statistics as after a training."""
    keras.utils.set_random_seed(0)
    built = build_network(5, backbone=tiny_backbone(), context=context, decoder_width=8)
    randomise(built)
    classifier = built.get_layer("classifier")
    medians = np.median(run(built, scene()), axis=(0, 1, 2))  # (C,)
    classifier.bias.assign_sub(medians)  # so that no class wins everywhere
    return built


@functools.cache
def flat_network():
    return flatten(network(), (*SIZE, 3))


def scene(size=SIZE):
    random = np.random.default_rng(3)
    return random.integers(0, 256, (1, *size, 3)).astype(np.float32)


def run(model, images):
    return ops.convert_to_numpy(model(images, training=False))


def kinds(model):
    return Counter(type(call.operation).__name__ for call in Graph(model).calls)


# === flatten ===


def test_flattened_network_is_bit_equal():
    flat = flat_network()
    assert flat.input.shape == (1, *SIZE, 3)
    assert not any(isinstance(layer, CompositeLayer) for layer in flat.operations)
    np.testing.assert_array_equal(run(flat, scene()), run(network(), scene()))


def test_flatten_takes_a_segmentation_model():
    model = tiny_model()
    flat = flatten(model, (*SIZE, 3))
    np.testing.assert_array_equal(run(flat, scene()), run(model, scene()))


def test_flattened_network_is_a_copy():
    model = build_network(5, backbone=tiny_backbone(), decoder_width=8)
    before = [weight.numpy() for weight in model.weights]
    names = [layer.name for layer in model.operations]
    flat = flatten(model, (*SIZE, 3))
    for weight in flat.weights:
        weight.assign(weight + 1)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    assert [layer.name for layer in model.operations] == names
    assert not {id(w) for w in model.weights} & {id(w) for w in flat.weights}


def test_flattened_layers_have_the_name_of_their_path():
    flat = flat_network()
    names = [operation.name for operation in flat.operations]
    assert len(set(names)) == len(names)
    path = "stage_2_block_1/attention/attention/pointwise/kernel"
    (kernel,) = (w for w in network().weights if w.path.endswith(path))
    copied = flat.get_layer("backbone.stage_2_block_1.attention.attention.pointwise")
    np.testing.assert_array_equal(copied.kernel, kernel)


def test_names_do_not_depend_on_what_was_built_before():
    first = [operation.name for operation in flat_network().operations]
    ops.add(keras.Input((2,)), 1)
    assert [o.name for o in flatten(network(), (*SIZE, 3)).operations] == first


def test_mixed_precision_network_becomes_float32():
    model = tiny_model(dtype="mixed_float16")
    randomise(model.network)
    flat = flatten(model, (*SIZE, 3))
    assert {layer.compute_dtype for layer in flat.layers} == {"float32"}
    plain = tiny_model()
    plain.network.set_weights(model.network.get_weights())
    np.testing.assert_array_equal(run(flat, scene()), run(plain, scene()))
    assert model.network.get_layer("decoder").compute_dtype == "float16"


def nested_model():
    inner_input = keras.Input((None, None, 4), name="inner_input")
    norm = layers.BatchNormalization(name="norm")(inner_input)
    inner = keras.Model(
        inner_input,
        layers.Conv2D(4, 3, padding="same", name="conv")(norm),
        name="inner",
    )
    x = keras.Input((None, None, 3))
    y = inner(layers.Conv2D(4, 1, name="stem")(x))
    tail = keras.Sequential(
        [keras.Input((None, None, 4)), layers.Conv2D(2, 1, name="last")], name="tail"
    )
    return randomise(keras.Model(x, tail(ops.relu(y))))


def test_nested_models_dissolve():
    model = nested_model()
    flat = flatten(model, (8, 10, 3))
    assert not any(isinstance(layer, keras.Model) for layer in flat.layers)
    assert {"stem", "inner.norm", "inner.conv", "tail.last"} <= {
        layer.name for layer in flat.layers
    }
    np.testing.assert_array_equal(run(flat, scene((8, 10))), run(model, scene((8, 10))))


def test_sequential_model():
    model = keras.Sequential(
        [keras.Input((8, 10, 3)), layers.Conv2D(4, 3), layers.BatchNormalization()]
    )
    randomise(model)
    flat = flatten(model, (8, 10, 3))
    assert kinds(flat) == {"Conv2D": 1, "BatchNormalization": 1}
    np.testing.assert_array_equal(run(flat, scene((8, 10))), run(model, scene((8, 10))))


@pytest.mark.parametrize("wrap", [lambda x: [x], lambda x: {"image": x}])
def test_model_built_from_a_list_or_dictionary_of_one(wrap):
    x = keras.Input((8, 10, 3), name="image")
    model = keras.Model(wrap(x), [layers.Conv2D(2, 1)(x)])
    flat = flatten(model, (8, 10, 3))
    plain = keras.Model(x, model.outputs[0])
    np.testing.assert_array_equal(run(flat, scene((8, 10))), run(plain, scene((8, 10))))


def test_batch_norm_that_was_trained_with_its_flag_works_as_in_inference():
    x = keras.Input((8, 10, 3))
    model = randomise(
        keras.Model(x, layers.BatchNormalization()(ops.relu(x), training=True))
    )
    flat = flatten(model, (8, 10, 3))
    images = scene((8, 10))
    moved = model.layers[-1](ops.relu(images), training=False)
    np.testing.assert_array_equal(run(flat, images), moved)


class Subclassed(keras.Model):
    def call(self, x):
        return x


def two_inputs():
    first, second = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    return keras.Model([first, second], ops.add(first, second))


def two_outputs():
    x = keras.Input((8, 8, 3))
    return keras.Model(x, [ops.relu(x), ops.sigmoid(x)])


@pytest.mark.parametrize(
    ("make", "shape", "match"),
    [
        (lambda: Subclassed(name="mine"), (8, 8, 3), "'mine' is no built Functional"),
        (lambda: keras.Sequential([layers.Conv2D(2, 1)]), (8, 8, 3), "is no built"),
        (two_inputs, (8, 8, 3), "has 2 inputs; one is expected"),
        (two_outputs, (8, 8, 3), "has 2 outputs; one is expected"),
        (nested_model, (8, 8, 4), r"input_shape=\(8, 8, 4\) does not fit"),
        (nested_model, (8, 8), r"input_shape=\(8, 8\) does not fit"),
    ],
    ids=[
        "subclassed",
        "unbuilt",
        "two inputs",
        "two outputs",
        "wrong channels",
        "no channels",
    ],
)
def test_what_cannot_be_flattened(make, shape, match):
    with pytest.raises(ValueError, match=match):
        flatten(make(), shape)


def test_wrong_size_of_a_model_of_fixed_size():
    x = keras.Input((8, 10, 3))
    model = keras.Model(x, layers.Conv2D(2, 1)(x))
    with pytest.raises(ValueError, match=r"takes images of shape \(8, 10, 3\)"):
        flatten(model, (10, 8, 3))


# === The whole graph ===


@pytest.mark.parametrize(
    ("context", "size"),
    [
        ("frm", SIZE),
        ("frm", (65, 97)),
        ("ppm", SIZE),
        ("dappm", SIZE),
        ("dappm", (75, 50)),
        (None, (33, 64)),
    ],
)
def test_rewritten_network_is_the_same_function(context, size):
    model, images = network(context), scene(size)
    graph = inference_graph(model, input_shape=size, output="logits")
    expected, actual = run(model, images), run(graph, images)
    assert actual.shape == (1, *size, 5)
    assert np.abs(actual - expected).max() <= 1e-4 * np.abs(expected).max()
    same = actual.argmax(-1) == expected.argmax(-1)
    assert same.mean() >= 0.9999
    assert len(np.unique(expected.argmax(-1))) > 1
    found = kinds(graph)
    # DAPPM begins its branches with a BatchNorm and a ReLU, which nothing can take.
    assert context == "dappm" or "BatchNormalization" not in found
    assert "Gelu" in found
    sizes = [
        c.operation.kernel_size
        for c in Graph(graph).calls
        if isinstance(c.operation, layers.DepthwiseConv2D)
    ]
    assert max(rows * columns for rows, columns in sizes) <= 25


def test_rewritten_network_is_a_copy():
    model = network()
    before = model.get_weights()
    graph = inference_graph(model, input_shape=SIZE)
    assert not {id(w) for w in model.weights} & {id(w) for w in graph.weights}
    for weight, value in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize("context", ["frm", "ppm", "dappm", None])
def test_graph_for_integers_has_no_operation_without_integer_kernels(context):
    images = scene()
    graph = inference_graph(
        network(context), input_shape=SIZE, output="logits", precision="int8"
    )
    Plan(Graph(graph))  # finds a rule for everything
    found = kinds(graph)
    for absent in ("Gelu", "LayerScale", "Rescaling", "BatchNormalization"):
        assert absent not in found
    expected, actual = run(network(context), images), run(graph, images)
    assert np.abs(actual - expected).max() <= 0.05 * np.abs(expected).max()
    assert np.abs(actual - expected).max() > 0


@pytest.mark.parametrize("context", ["frm", "ppm", "dappm", None])
def test_graph_for_integers_only_has_integer_kernels_only(context):
    images = scene()
    options = {"input_shape": SIZE, "output": "logits"}
    mixed = inference_graph(network(context), **options, precision="int8")
    full = inference_graph(network(context), **options, precision="int8_full")
    plan = Plan(Graph(full), integer_only=True)
    assert all(plan.is_integer(call) for call in plan.graph.calls)
    expected, actual = run(mixed, images), run(full, images)
    assert np.abs(actual - expected).max() <= 1e-3 * np.abs(expected).max()


@pytest.mark.parametrize("stride", [1, 4])
def test_output_kinds_and_strides(stride):
    images = scene()
    size = (SIZE[0] // stride, SIZE[1] // stride)
    own = at_stride(flat_network(), stride)
    mask, logits, scores = (
        run(with_head(own, output), images) for output in ("mask", "logits", "scores")
    )
    assert (mask.shape, mask.dtype) == ((1, *size), np.uint8)
    assert logits.shape == scores.shape == (1, *size, 5)
    np.testing.assert_array_equal(mask, logits.argmax(-1))
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    np.testing.assert_allclose(
        scores, exponentials / exponentials.sum(-1, keepdims=True), atol=1e-5
    )


def test_mask_of_stride_4_for_a_shape_with_channels():
    images = scene()
    shape = [*SIZE, 3]
    graph = inference_graph(network(), input_shape=shape, output_stride=4)
    expected = run(with_head(at_stride(flat_network(), 4), "mask"), images)
    assert expected.shape == (1, 16, 24)
    assert (run(graph, images) == expected).mean() >= 0.9999


def test_unknown_output():
    match = "no output 'masks'. Choose one of: mask, logits, scores"
    with pytest.raises(ValueError, match=match):
        inference_graph(network(None), input_shape=(32, 32), output="masks")


@pytest.mark.parametrize("stride", [2, 8, 0])
def test_stride_that_the_network_has_not(stride):
    match = f"output_stride={stride} cannot be had: .* have stride 4; pass 1 or 4"
    with pytest.raises(ValueError, match=match):
        at_stride(flat_network(), stride)


def stride_8(size=(16, 24)):
    """A network whose logits have stride 8."""
    x = keras.Input(batch_shape=(1, *size, 3))
    y = layers.Conv2D(4, 8, 8, padding="same", name="classifier")(x)
    return keras.Model(x, keras.ops.image.resize(y, size), name="own")


def test_own_stride_of_another_network():
    graph = inference_graph(stride_8(), input_shape=(16, 24), output_stride=8)
    assert graph.output.shape == (1, 2, 3)
    with pytest.raises(ValueError, match="'own' have stride 8; pass 1 or 8"):
        inference_graph(stride_8(), input_shape=(16, 24), output_stride=4)
    assert at_stride(stride_8((20, 9)), 8).output.shape == (1, 3, 2, 4)


def test_network_without_a_resize_has_one_stride():
    whole = stride_8()
    bare = keras.Model(whole.input, whole.get_layer("classifier").output, name="own")
    assert at_stride(bare, 8).output is bare.output
    with pytest.raises(ValueError, match="have stride 8; pass 8"):
        at_stride(bare, 1)


def test_stride_4_of_an_odd_size_rounds_up():
    graph = inference_graph(network(None), input_shape=(65, 96), output_stride=4)
    assert graph.output.shape == (1, 17, 24)


# === The head alone ===


def test_class_ids_take_the_first_of_equals():
    logits = np.array([[[[1.0, 1, 0], [0, 2, 2], [-3, -2, -1]]]], np.float32)
    assert run(ClassIds(), logits).tolist() == [[[0, 1, 2]]]


def test_heads_of_a_network_that_ends_in_logits():
    x = keras.Input(batch_shape=(1, 8, 8, 3))
    model = keras.Model(x, layers.Conv2D(4, 1)(x))
    assert at_stride(model, 1).output is model.output
    assert with_head(model, "logits").output is model.output
    assert with_head(model, "mask").output.dtype == "uint8"


def test_models_inside_of_models_dissolve_at_any_depth():
    x = keras.Input((8, 8, 3))
    conv = keras.layers.Conv2D(4, 1, name="conv")
    innermost = keras.Sequential([keras.Input((None, None, 3)), conv], name="innermost")
    y = keras.Input((None, None, 3))
    block = ConvBlock(5, name="block")(innermost(y))
    inner = keras.Model(y, [block, keras.ops.relu(block)], name="inner")
    model = keras.Model(x, keras.layers.Add(name="sum")(inner(x)))
    graph = flatten(model, (8, 8, 3))
    names = [layer.name for layer in graph.layers]
    assert {"inner.innermost.conv", "inner.block.conv", "sum"} <= set(names)
    assert not any(isinstance(layer, keras.Model) for layer in graph.layers)
    image = np.random.default_rng(0).uniform(size=(1, 8, 8, 3)).astype("float32")
    np.testing.assert_allclose(graph(image), model(image), rtol=1e-5, atol=1e-6)
