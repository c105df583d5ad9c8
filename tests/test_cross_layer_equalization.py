"""Channels of one size: the function stays, what an int8 file keeps of it grows."""

import keras
import numpy as np
import pytest
import tiny

from keras_frm.export.inference_graph import inference_graph
from keras_frm.graph.graph import Graph
from keras_frm.layers.blocks.layer_scale import LayerScale
from keras_frm.quantization.after_training import quantize_after_training
from keras_frm.quantization.channel_groups import ChannelGroups
from keras_frm.quantization.cross_layer_equalization import equalize_cross_layer

layers, ops = keras.layers, keras.ops
IMAGES = [np.random.default_rng(i).integers(0, 256, (8, 8, 3)) for i in range(3)]


def image():
    return keras.Input(batch_shape=(1, 8, 8, 3))


def conv(filters, **kwargs):
    return layers.Conv2D(filters, 3, padding="same", **kwargs)


def free_shapes(x, y):
    """Return the number of tensors in each free group of a model."""
    groups = ChannelGroups(Graph(keras.Model(x, y))).free()
    return sorted(len(members) for members in groups)


def uneven(model):
    """Make the channels of every kernel very different in size; return the model."""
    random = np.random.default_rng(0)
    for layer in model.layers:
        weights = layer.get_weights()
        if weights:
            axis = -2 if isinstance(layer, layers.DepthwiseConv2D) else -1
            factors = 10 ** random.uniform(-1, 1, weights[0].shape[axis])
            factors = factors[:, None] if axis == -2 else factors
            layer.set_weights([weights[0] * factors, *weights[1:]])
    return model


def residual():
    """Return a network with additions, a depthwise layer, a product and a norm."""
    keras.utils.set_random_seed(0)
    x = image()
    stem = conv(6)(x)
    branch = layers.DepthwiseConv2D(3, padding="same")(ops.relu(conv(6)(stem)))
    gate = conv(6)(ops.sigmoid(conv(6)(stem)))
    stream = stem + conv(6)(branch)
    stream = stream + conv(6)(gate * ops.sigmoid(branch))
    pooled = layers.AveragePooling2D(2)(layers.LayerNormalization()(stream))
    return uneven(keras.Model(x, conv(2)(pooled)))


def values(model):
    return np.stack([model(i[None].astype("float32")) for i in IMAGES])


def test_function_stays_the_same():
    model = residual()
    new = equalize_cross_layer(model, IMAGES)
    scale = np.abs(values(model)).max()
    np.testing.assert_allclose(values(new), values(model), atol=1e-5 * scale)


def test_whole_network_stays_the_same():
    network = tiny.tiny_model()
    images = [np.random.default_rng(i).integers(0, 256, (32, 64, 3)) for i in range(2)]
    graph = inference_graph(
        network, input_shape=(32, 64), output="logits", precision="int8"
    )
    new = equalize_cross_layer(graph, images)
    given = images[0][None].astype("float32")
    np.testing.assert_allclose(new(given), graph(given), rtol=1e-3, atol=1e-4)
    changed = [
        name
        for name in {layer.name for layer in graph.layers if layer.weights}
        if not np.array_equal(
            graph.get_layer(name).get_weights()[0],
            new.get_layer(name).get_weights()[0],
        )
    ]
    assert len(changed) > len(graph.layers) / 10


def test_channels_have_one_size():
    model = residual()
    new = equalize_cross_layer(model, IMAGES)

    def spread(network):
        graph = Graph(network)
        tensors = [t for group in ChannelGroups(graph).free() for t in group]
        outputs = keras.Model(graph.inputs, tensors)
        sums = [
            np.abs(t).reshape(-1, t.shape[-1]).max(axis=0)
            for i in IMAGES
            for t in map(np.asarray, outputs([i[None].astype("float32")]))
        ]
        return np.mean([size.min() / size.max() for size in sums])

    assert spread(new) > 2.5 * spread(model)


def test_factors_are_powers_of_two():
    """What a LayerNormalization multiplies back by then rounds nothing."""
    x = image()
    first = conv(8)
    model = keras.Model(x, layers.LayerNormalization()(first(x)))
    kernel = np.ones((3, 3, 3, 8)) * np.logspace(-2, 0, 8)
    first.set_weights([kernel, np.zeros(8)])
    new = equalize_cross_layer(model, IMAGES)
    (scale,) = (layer for layer in new.layers if isinstance(layer, LayerScale))
    # 0.01 0.019 0.037 0.072 0.139 0.268 0.518 1: the next above, the least an eighth.
    expected = [0.125, 0.125, 0.125, 0.125, 0.25, 0.5, 1, 1]
    np.testing.assert_array_equal(scale.gamma, expected)
    (again,) = (
        layer
        for layer in equalize_cross_layer(new, IMAGES).layers
        if isinstance(layer, LayerScale)
    )
    np.testing.assert_array_equal(again.gamma, scale.gamma)
    assert not scale.trainable_weights


def test_int8_loses_less():
    """Small channels that count as much as the large ones."""
    keras.utils.set_random_seed(0)
    x = image()
    first, second = conv(8), conv(2)
    model = keras.Model(x, second(ops.relu(first(x))))
    sizes = np.logspace(-2, 0, 8)
    first.set_weights([first.get_weights()[0] * sizes, np.zeros(8)])
    second.set_weights([second.get_weights()[0] / sizes[:, None], np.zeros(2)])

    def noise(network):
        rounded = values(quantize_after_training(network, IMAGES))
        exact = values(network)
        return np.sqrt(np.mean((rounded - exact) ** 2)) / exact.std()

    assert noise(equalize_cross_layer(model, IMAGES)) < 0.5 * noise(model)


def test_normalization_takes_the_factors_back_in_float():
    new = equalize_cross_layer(residual(), IMAGES)
    assert any(isinstance(layer, LayerScale) for layer in new.layers)
    rounded = quantize_after_training(new, IMAGES)
    scale = next(y for y in rounded.layers if isinstance(y, LayerScale))
    names = {layer.name for layer in rounded.layers}
    assert f"{scale.name}.range" not in names


def test_product_follows_one_side():
    x = image()
    free, fixed = conv(4)(x), ops.sigmoid(conv(4)(x))
    assert free_shapes(x, conv(2)(free * fixed)) == [2]
    first, second = conv(4)(x), conv(4)(x)
    assert free_shapes(x, conv(2)(first * second)) == [2]


@pytest.mark.parametrize(
    "stops",
    [
        ops.sigmoid,
        ops.gelu,
        ops.relu6,
        lambda y: y + 1.0,
        lambda y: ops.reshape(y, (1, 16, 16)),
        lambda y: ops.concatenate([y, y], axis=-1),
    ],
    ids=["sigmoid", "gelu", "relu6", "constant", "reshape", "concatenate"],
)
def test_what_takes_no_factors(stops):
    x = image()
    assert free_shapes(x, stops(conv(4)(x))) == []


def test_shared_layers_stay():
    x = image()
    shared = conv(3)
    assert free_shapes(x, conv(2)(shared(shared(x)))) == []


def test_grouped_convolutions_stay():
    x = image()
    y = conv(4, groups=2)(conv(4)(x))
    assert free_shapes(x, conv(2)(y)) == []


def test_outputs_stay():
    x = image()
    assert free_shapes(x, conv(2)(x)) == []


def test_input_of_a_named_layer_stays():
    x = image()
    y = conv(2, name="classifier")(conv(4)(conv(4)(x)))
    graph = Graph(keras.Model(x, y))
    assert len(ChannelGroups(graph).free()) == 2
    assert len(ChannelGroups(graph, ["classifier"]).free()) == 1


def test_channel_that_is_zero():
    x = image()
    model = keras.Model(x, conv(2)(ops.relu(conv(2)(x))))
    kernel, bias = model.layers[1].get_weights()
    kernel[..., 0] = 0
    model.layers[1].set_weights([kernel, bias])
    np.testing.assert_allclose(
        values(equalize_cross_layer(model, IMAGES)), values(model), rtol=1e-4, atol=1e-2
    )


def test_no_images_change_nothing():
    model = residual()
    assert equalize_cross_layer(model, []) is model
