"""What every layer must do, and the small layers' own behaviour."""

import functools
import sys
from dataclasses import dataclass

import keras
import numpy as np
import pytest
import reference
import tensorflow as tf

from keras_frm import layers
from keras_frm.layers.backbones.patch_embedding import OverlapPatchEmbedding
from keras_frm.layers.blocks.adaptive_pooling import (
    adaptive_average_pool,
    adaptive_max_pool,
)
from keras_frm.quantization import layers as integer_layers

# A softmax over the one position of a 1x1 map is meant.
pytestmark = pytest.mark.filterwarnings("ignore:You are using a softmax over axis")

TINY_VAN = {"embed_dims": (4, 6, 8, 8), "mlp_ratios": (2, 2, 2, 2)}
TINY_MIT = {"widths": (4, 6, 8, 8), "heads": (1, 2, 2, 4)}
STAGES = [(9, 13, 2), (5, 7, 3), (3, 4, 5), (2, 2, 4)]


@dataclass
class Case:
    """A layer and the inputs it is tried on."""

    layer: type
    shapes: list  # height, width and channels of each input
    config: dict
    takes: str = "tensor"  # or "list", or "arguments"

    def make(self, **kwargs):
        return self.layer(**self.config, **kwargs)

    def inputs(self, batch=2):
        rng = np.random.default_rng(0)
        return [
            tf.constant(rng.normal(size=(batch, *s)), "float32") for s in self.shapes
        ]

    def arguments(self, values):
        """Return one value for each input as the layer's arguments."""
        return [values] if self.takes == "list" else values


def case(name, shapes, takes="tensor", **config):
    home = layers if hasattr(layers, name) else integer_layers
    return Case(getattr(home, name), shapes, config, takes)


CASES = {
    "VAN": case("VAN", [(37, 45, 3)], depths=(1, 1, 1, 1), **TINY_VAN),
    "VANBlock": case("VANBlock", [(7, 9, 4)], mlp_ratio=2, drop_path=0.2),
    "LargeKernelAttention": case("LargeKernelAttention", [(7, 9, 4)]),
    "ConvFeedForward": case("ConvFeedForward", [(5, 7, 4)], ratio=2),
    "ConvFeedForward relu": case(
        "ConvFeedForward", [(5, 7, 4)], ratio=3, activation="relu", use_bias=False
    ),
    "LayerScale": case("LayerScale", [(3, 5, 4)], initial_value=0.3),
    "LayerScale constant": case("LayerScale", [(3, 5, 4)], learned=False),
    "DropPath": case("DropPath", [(3, 5, 4)], rate=0.5, seed=1),
    "ConvBlock": case("ConvBlock", [(5, 7, 3)], filters=4, kernel_size=3),
    "ConvBlock preactivation": case(
        "ConvBlock", [(5, 7, 3)], filters=4, use_bias=True, preactivation=True
    ),
    "ConvBlock linear": case("ConvBlock", [(5, 7, 3)], filters=4, activation=None),
    "StageConcatenation": case("StageConcatenation", STAGES, "list"),
    "DisentangledNonLocal": case("DisentangledNonLocal", [(3, 5, 8)], reduction=2),
    "FeatureRefinementModule": case(
        "FeatureRefinementModule", [(3, 5, 8)], filters=4, ffn_ratio=2, reduction=2
    ),
    "PyramidPooling": case("PyramidPooling", [(5, 7, 3)], filters=4, bins=(1, 2, 3)),
    "PyramidPooling aligned": case(
        "PyramidPooling", [(5, 7, 3)], filters=4, bins=(1, 3), align_corners=True
    ),
    "DeepAggregationPyramidPooling": case(
        "DeepAggregationPyramidPooling", [(5, 7, 3)], filters=4, branch_filters=3
    ),
    "FlowAlignment": case(
        "FlowAlignment", [(7, 9, 4), (4, 5, 4)], "arguments", filters=2
    ),
    "GatedFlowAlignment": case(
        "GatedFlowAlignment", [(7, 9, 4), (4, 5, 4)], "arguments", filters=2
    ),
    "GatedFlowAlignment of the fine": case(
        *("GatedFlowAlignment", [(7, 9, 4), (4, 5, 3)], "arguments"),
        filters=2,
        moves="fine",
    ),
    "AlignedUpsampling": case("AlignedUpsampling", [(4, 5, 3), (7, 9, 2)], "arguments"),
    "FlowWarp": case("FlowWarp", [(4, 5, 3), (7, 9, 2)], "arguments"),
    "FlowWarp to the edges": case(
        "FlowWarp", [(4, 5, 3), (7, 9, 2)], "arguments", align_corners=False
    ),
    "DepthToSpace": case("DepthToSpace", [(3, 5, 8)], block=2),
    "FPNDecoder": case("FPNDecoder", STAGES, "list", filters=4),
    "FPNDecoder flow": case("FPNDecoder", STAGES, "list", filters=4, alignment="flow"),
    "FPNDecoder aligned": case(
        "FPNDecoder", STAGES, "list", filters=4, align_corners=True
    ),
    "FPNDecoder levels": case(
        "FPNDecoder", STAGES, "list", filters=4, alignment="flow", return_levels=True
    ),
    "BilinearUpsampling": case(
        "BilinearUpsampling", [(2, 3, 5), (7, 9, 3)], "arguments"
    ),
    "InvertedResidual": case(
        "InvertedResidual", [(5, 7, 4)], filters=4, kernel_size=5, drop_path=0.5
    ),
    "InvertedResidual strided": case(
        "InvertedResidual", [(5, 7, 4)], filters=6, strides=2, expansion=1
    ),
    "ConvBlock strided": case(
        "ConvBlock", [(5, 8, 4)], filters=4, kernel_size=3, strides=2, groups=2
    ),
    "ConvBlock dilated": case(
        "ConvBlock", [(5, 7, 3)], filters=4, kernel_size=3, dilation_rate=2
    ),
    "ResidualBlock": case("ResidualBlock", [(5, 8, 4)], filters=6, strides=2),
    "ResidualBlock bottleneck": case(
        "ResidualBlock", [(5, 7, 4)], filters=4, bottleneck=True, activation=None
    ),
    "ResidualStage": case(
        "ResidualStage", [(5, 8, 4)], filters=6, depth=2, strides=2, dilation_rate=2
    ),
    "ParallelAggregationPyramidPooling": case(
        "ParallelAggregationPyramidPooling", [(5, 7, 3)], filters=4, branch_filters=3
    ),
    "PixelAttentionFusion": case(
        "PixelAttentionFusion", [(7, 9, 4), (4, 5, 4)], "arguments", filters=2
    ),
    "BoundaryAttentionFusion": case(
        "BoundaryAttentionFusion", [(5, 7, 4)] * 3, "arguments", filters=6
    ),
    "LightBoundaryAttentionFusion": case(
        "LightBoundaryAttentionFusion", [(5, 7, 4)] * 3, "arguments", filters=6
    ),
    "DeepStemResNet": case(
        *("DeepStemResNet", [(37, 45, 3)]),
        # Narrow ones: without a norm between, the weights here make numbers grow.
        widths=(1, 2, 1, 3),
        depths=(1, 1, 1, 1),
        stem_widths=(2, 1, 2),
    ),
    "DFNet": case(
        *("DFNet", [(37, 45, 3)]),
        widths=(2, 1, 2, 3),
        depths=((1, 1), (1, 1), (1, 1)),
    ),
    "SpatialReductionAttention": case(
        "SpatialReductionAttention", [(5, 7, 4)], heads=2, reduction=2
    ),
    "SpatialReductionAttention of all": case(
        "SpatialReductionAttention", [(3, 5, 4)], heads=1
    ),
    "MixTransformerBlock": case(
        *("MixTransformerBlock", [(7, 9, 4)]),
        heads=2,
        reduction=2,
        mlp_ratio=2,
        drop_path=0.2,
    ),
    "MixTransformer": case(
        *("MixTransformer", [(37, 45, 3)]),
        # Each attention has some windows to choose from.
        reductions=(4, 2, 1, 1),
        depths=(1, 1, 1, 1),
        **TINY_MIT,
    ),
    "AllMLPDecoder": case("AllMLPDecoder", STAGES, "list", filters=4),
    "ConvMLP": case("ConvMLP", [(5, 7, 4)], momentum=0.5),
    "ExternalAttention": case(
        "ExternalAttention", [(5, 7, 3)], filters=4, heads=2, strides=2
    ),
    "CrossResolutionAttention": case(
        "CrossResolutionAttention", [(5, 8, 4), (2, 7, 3)], "arguments", grid=3
    ),
    "DualResolutionBlock": case(
        *("DualResolutionBlock", [(9, 12, 4), (5, 6, 3)], "arguments"),
        filters=4,
        heads=2,
        strides=2,
        grid=2,
        drop_path=0.2,
    ),
    "DualResolutionBlock without injection": case(
        *("DualResolutionBlock", [(9, 12, 4), (3, 3, 4)], "arguments"),
        filters=4,
        heads=2,
        grid=2,
        inject=False,
    ),
    "FloatBoundary": case("FloatBoundary", [(3, 5, 4)]),
}
# They compute with integers, not with numbers of any size: see
# test_fake_quant_layers.py and test_integer_arithmetic.py.
QUANTIZERS = {"FakeQuant", "MovingAverageFakeQuant", "KernelFakeQuant", "Quantize"}
QUANTIZERS |= {"QuantizeDequantize", "WeightQuantizedConvolution"}
QUANTIZERS |= {"QuantizedConvolution", "QuantizedLayerNorm", "QuantizedMultiply"}
QUANTIZERS |= {"QuantizedGlobalPooling", "QuantizedLeakyRelu", "QuantizedResize"}
# Numbers that are no image's die in its ReLU6: see test_efficientnet_lite.py.
OF_IMAGES = {"EfficientNetLite"}
every_layer = pytest.mark.parametrize("name", CASES)


@functools.cache
def example(name):
    """Return a built layer whose weights are all random, its inputs and its outputs."""
    case = CASES[name]
    layer, inputs = case.make(name="a_name"), case.inputs()
    layer(*case.arguments(inputs))
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        if weight.dtype == "float32":  # not the random generators' states
            weight.assign(rng.uniform(0.05, 0.45, weight.shape))
    return layer, inputs, as_list(layer(*case.arguments(inputs)))


def as_list(outputs):
    return outputs if isinstance(outputs, list) else [outputs]


def assert_same(actual, expected, **tolerance):
    for left, right in zip(as_list(actual), expected, strict=True):
        np.testing.assert_allclose(tf.cast(left, "float32"), right, **tolerance)


def test_every_public_layer_is_in_the_table():
    tried = {name.split()[0] for name in CASES}
    public = {*layers.__all__, *integer_layers.__all__}
    assert tried | QUANTIZERS | OF_IMAGES == public


@every_layer
def test_output_shape_is_the_announced_one(name):
    case, (layer, inputs, outputs) = CASES[name], example(name)
    single = as_list(layer(*case.arguments(case.inputs(batch=1))))
    for batch, results in ((2, outputs), (1, single)):
        shapes = [(batch, *x.shape[1:]) for x in inputs]
        announced = as_list(layer.compute_output_shape(*case.arguments(shapes)))
        assert [tuple(y.shape) for y in results] == [tuple(s) for s in announced]


@every_layer
def test_output_shape_of_unknown_sizes(name):
    case, (layer, _, outputs) = CASES[name], example(name)
    shapes = [(None, None, None, shape[-1]) for shape in case.shapes]
    announced = as_list(layer.compute_output_shape(*case.arguments(shapes)))
    expected = [(None, None, None, y.shape[-1]) for y in outputs]
    assert [tuple(s) for s in announced] == expected


@every_layer
def test_config_round_trip(name):
    case, (layer, inputs, outputs) = CASES[name], example(name)
    config = keras.saving.serialize_keras_object(layer)
    copy = keras.saving.deserialize_keras_object(config)
    assert type(copy) is type(layer)
    assert copy.get_config() == layer.get_config()
    assert copy.get_config().items() >= case.config.items()
    if not copy.built:
        copy.build(*case.arguments([x.shape for x in inputs]))
    copy.set_weights(layer.get_weights())
    assert_same(copy(*case.arguments(inputs)), outputs, rtol=1e-5, atol=1e-6)


@every_layer
def test_saved_in_a_model_of_unknown_size(name, tmp_path):
    case, (layer, inputs, outputs) = CASES[name], example(name)
    symbols = [keras.Input((None, None, shape[-1])) for shape in case.shapes]
    model = keras.Model(symbols, layer(*case.arguments(symbols)))
    model.save(tmp_path / "model.keras")
    copy = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert_same(copy(inputs), outputs, rtol=1e-5, atol=1e-6)


@every_layer
@pytest.mark.parametrize(
    ("policy", "tolerance"), [("mixed_float16", 0.02), ("mixed_bfloat16", 0.1)]
)
def test_mixed_precision(name, policy, tolerance):
    case, (exact, inputs, expected) = CASES[name], example(name)
    layer = case.make(dtype=policy)
    if not layer.built:
        layer.build(*case.arguments([x.shape for x in inputs]))
    layer.set_weights(exact.get_weights())
    outputs = as_list(layer(*case.arguments(inputs)))
    assert all(y.dtype == layer.compute_dtype for y in outputs)
    assert all(w.dtype == "float32" for w in layer.trainable_weights)
    largest = max(np.abs(y).max() for y in expected)
    assert_same(outputs, expected, rtol=0, atol=tolerance * largest)


# A softmax over the positions does not see what is added to all of them; the gradient
# is round-off, and zero on some processors.
WITHOUT_GRADIENT = ("coarse_attention/norm/beta",)


@every_layer
def test_gradient_reaches_every_trainable_weight(name):
    case, (layer, inputs, _) = CASES[name], example(name)
    rng = np.random.default_rng(2)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = as_list(layer(*case.arguments(inputs)))
        loss = sum(tf.reduce_sum(y * rng.normal(size=y.shape)) for y in outputs)
    sources = {weight.path: weight.value for weight in layer.trainable_weights}
    sources["input"] = inputs[0]
    for path, gradient in tape.gradient(loss, sources).items():
        assert gradient is not None, path
        assert np.isfinite(gradient).all(), path
        assert np.any(gradient) or path.endswith(WITHOUT_GRADIENT), path


# === Drop path ===


def test_drop_path_is_the_identity_at_rate_0_and_at_inference():
    x = tf.random.normal((4, 3, 5, 2))
    assert layers.DropPath(0.0)(x, training=True) is x
    np.testing.assert_array_equal(layers.DropPath(0.9)(x, training=False), x)


def test_drop_path_drops_whole_images_and_keeps_the_mean():
    rate, images = 0.3, 4000
    out = np.asarray(
        layers.DropPath(rate, seed=0)(tf.ones((images, 2, 1, 3)), training=True)
    )
    per_image = out.reshape(images, -1)
    assert (per_image == per_image[:, :1]).all()
    np.testing.assert_allclose(np.unique(per_image), [0, 1 / (1 - rate)], rtol=1e-6)
    deviation = np.sqrt(rate / (1 - rate) / images)
    assert abs(out.mean() - 1) < 4 * deviation


def test_drop_path_draws_a_number_for_each_image_of_one_device():
    seed = keras.random.SeedGenerator(3)
    layer = layers.DropPath(0.5, seed=3)
    for _ in range(2):
        kept = keras.random.uniform((16, 1, 1), seed=seed) < 0.5
        expected = 2 * keras.ops.cast(kept, "float32")
        y = layer(tf.ones((16, 1, 1)), training=True)
        np.testing.assert_array_equal(y, expected)


def test_drop_path_draws_anew_at_each_call():
    layer, x = layers.DropPath(0.5, seed=0), tf.ones((64, 1, 1, 1))
    first, second = (np.asarray(layer(x, training=True)) for _ in range(2))
    assert (first != second).any()


@pytest.mark.parametrize("rate", [-0.1, 1, 1.5])
def test_drop_path_refuses_a_rate(rate):
    with pytest.raises(ValueError, match=rf"\[0, 1\). Received: rate={rate}"):
        layers.DropPath(rate)


# === Layer scale ===


def test_layer_scale_multiplies_each_channel():
    layer, x = layers.LayerScale(0.25), np.random.default_rng(0).normal(size=(2, 3, 4))
    np.testing.assert_allclose(layer(x), x * 0.25, rtol=1e-6)
    layer.gamma.assign([1, 2, 3, 4])
    np.testing.assert_allclose(layer(x), x * [1, 2, 3, 4], rtol=1e-6)


# === VAN ===


def test_van_small_has_as_many_weights_as_published():
    backbone = layers.VAN.from_variant("van_small")
    backbone.build((None, None, None, 3))
    count = sum(np.prod(w.shape) for w in backbone.trainable_weights) / 1e6
    assert abs(count - 13.349) < 0.001
    classifier = (512 + 1) * 1000 / 1e6
    assert round(count + classifier, 1) == 13.9


def test_van_drop_path_rises_linearly():
    van = layers.VAN(depths=(1, 2, 3, 1), drop_path_rate=0.3, **TINY_VAN)
    rates = [block.drop_path.rate for block in van.blocks]
    np.testing.assert_allclose(rates, np.linspace(0, 0.3, 7))


@pytest.mark.parametrize("size", [(32, 64), (33, 31), (1, 1), (45, 64)])
def test_van_sizes_round_up(size):
    van, _, _ = example("VAN")
    features = van(tf.ones((1, *size, 3)))
    for feature, stride, channels in zip(
        features, (4, 8, 16, 32), TINY_VAN["embed_dims"], strict=True
    ):
        expected = [-(-length // stride) for length in size]
        assert feature.shape == (1, *expected, channels)


# === Mix Transformer ===


def test_mix_transformer_drop_path_rises_linearly():
    backbone = layers.MixTransformer(**TINY_MIT, drop_path_rate=0.14)
    rates = [block.drop_path.rate for block in backbone.blocks]
    np.testing.assert_allclose(rates, np.linspace(0, 0.14, 8))


@pytest.mark.parametrize("size", [(32, 64), (33, 31), (1, 1), (27, 250), (45, 64)])
def test_mix_transformer_takes_any_size(size):
    """Known and unknown sizes give the same, at sizes that round up."""
    backbone = layers.MixTransformer(**TINY_MIT)
    x = tf.constant(np.random.default_rng(0).normal(size=(2, *size, 3)), "float32")
    features = backbone(x)
    for feature, stride in zip(features, (4, 8, 16, 32), strict=True):
        assert feature.shape[1:3] == [-(-length // stride) for length in size]
    unknown = tf.TensorSpec((None, None, None, 3))
    served = tf.function(backbone, input_signature=[unknown], autograph=False)
    assert_same(served(x), features, rtol=1e-4, atol=1e-5)


def test_keys_of_windows_that_do_not_fit_are_left_out():
    layer, _, _ = example("SpatialReductionAttention")
    x = np.random.default_rng(0).normal(size=(1, 5, 7, 4)).astype("float32")
    other = x.copy()
    other[0, 4, 6] += 1
    changed = np.asarray(layer(other)) != np.asarray(layer(x))
    assert changed.any(-1).nonzero() == ([0], [4], [6])


# === ResNet ===


@pytest.mark.parametrize("size", [(32, 64), (33, 31), (1, 1), (45, 64)])
def test_deep_stem_resnet_sizes_round_up(size):
    backbone, _, _ = example("DeepStemResNet")
    features = backbone(tf.ones((1, *size, 3)))
    for feature, stride in zip(features, (4, 8, 16, 32), strict=True):
        assert feature.shape[1:3] == [-(-length // stride) for length in size]


# === Names ===


def test_wrong_names_list_the_right_ones():
    with pytest.raises(ValueError, match=r"'van_s'.*van_tiny, van_small, van_base"):
        layers.VAN.from_variant("van_s")
    with pytest.raises(ValueError, match=r"'nearest'.*bilinear, flow"):
        layers.FPNDecoder(4, alignment="nearest")
    with pytest.raises(ValueError, match=r"\['gelu', 'relu'\].*'swish'"):
        layers.ConvFeedForward(4, activation="swish")
    with pytest.raises(ValueError, match=r"'relu' or None.*'gelu'"):
        layers.ConvBlock(4, activation="gelu")
    with pytest.raises(ValueError, match="four stages"):
        layers.VAN((4, 4), (2, 2), (1, 1))
    with pytest.raises(ValueError, match="four stages"):
        layers.DeepStemResNet((4, 4))
    with pytest.raises(ValueError, match=r"'mit_b9'.*mit_b0, mit_b1"):
        layers.MixTransformer.from_variant("mit_b9")
    with pytest.raises(ValueError, match="four stages"):
        layers.MixTransformer((4, 4), (1, 1))
    with pytest.raises(ValueError, match=r"\('batch', 'layer'\).*'group'"):
        OverlapPatchEmbedding(4, 3, 2, normalization="group")
    with pytest.raises(ValueError, match=r"multiple of heads=3\. Received: 4"):
        layers.SpatialReductionAttention(heads=3).build((1, 4, 4, 4))
    with pytest.raises(ValueError, match=r"multiple of heads=3\. Received: 4"):
        layers.ExternalAttention(4, heads=3)


def test_decoder_names_the_channels_it_needs():
    decoder = layers.FPNDecoder(6)
    with pytest.raises(ValueError, match=r"filters=6 channels\. Received: 4"):
        decoder.build([(1, *shape) for shape in STAGES])


# === Pooling ===


@pytest.mark.parametrize("size", [(64, 96), (45, 77), (33, 31), (720, 90)])
def test_stage_pooling_rounds_up(size):
    rng = np.random.default_rng(0)
    features = [
        rng.normal(size=(1, -(-size[0] // stride), -(-size[1] // stride), 2))
        for stride in (4, 8, 16, 32)
    ]
    pooled = layers.StageConcatenation(dtype="float64")(features)
    expected = [
        reference.window_means(feature, factor)
        for feature, factor in zip(features, (8, 4, 2, 1), strict=True)
    ]
    np.testing.assert_allclose(pooled, np.concatenate(expected, -1), rtol=1e-12)


adaptive_pooling = pytest.mark.parametrize(
    ("pool", "reduce"), [(adaptive_average_pool, np.mean), (adaptive_max_pool, np.max)]
)


@adaptive_pooling
@pytest.mark.parametrize("grid", [1, 2, 3, 6, 12])
@pytest.mark.parametrize("size", [(6, 12), (7, 13), (4, 5), (1, 1), (14, 29)])
def test_adaptive_pooling(pool, reduce, grid, size):
    x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
    expected = reference.adaptive_pool(x.astype("float64"), grid, reduce)
    np.testing.assert_allclose(pool(x, grid), expected, rtol=1e-5, atol=1e-6)


@adaptive_pooling
def test_adaptive_pooling_of_unknown_size(pool, reduce):
    served = tf.function(
        lambda x: pool(x, 4),
        input_signature=[tf.TensorSpec((None, None, None, 3))],
        autograph=False,
    )
    for size in [(3, 9), (4, 2), (13, 14)]:
        x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
        expected = reference.adaptive_pool(x.astype("float64"), 4, reduce)
        np.testing.assert_allclose(served(x), expected, rtol=1e-5, atol=1e-6)


# === Resizing ===


@pytest.mark.parametrize("size", [(7, 9), (4, 6), (2, 3)])
def test_upsampling_is_half_pixel(size):
    """Sample i of n lies at (i + 1/2) h / n - 1/2, held at the border."""
    x = np.random.default_rng(0).normal(size=(2, 2, 3, 4))
    image = np.zeros((2, *size, 3))
    rows, columns = (
        (np.arange(n) + 0.5) * h / n - 0.5 for n, h in zip(size, (2, 3), strict=True)
    )
    expected = reference.bilinear(x, rows, columns)
    out = layers.BilinearUpsampling()(x, image)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("fine", "coarse"), [((7, 9), (4, 5)), ((8, 6), (4, 3)), ((5, 1), (3, 1))]
)
def test_flow_alignment_without_flow_aligns_corners(fine, coarse):
    rng = np.random.default_rng(0)
    layer = layers.FlowAlignment(2)
    inputs = rng.normal(size=(2, *fine, 4)), rng.normal(size=(2, *coarse, 4))
    layer.build(*(x.shape for x in inputs))
    layer.flow.kernel.assign(np.zeros(layer.flow.kernel.shape))
    rows, columns = (
        np.linspace(0, h - 1, n) for n, h in zip(fine, coarse, strict=True)
    )
    expected = reference.bilinear(inputs[1], rows, columns)
    np.testing.assert_allclose(layer(*inputs), expected, rtol=1e-4, atol=1e-5)


def test_flow_alignment_follows_the_flow():
    """A flow of 2 W / (w - 1) in x moves by one coarse column, off the map to 0."""
    layer = layers.FlowAlignment(1)
    coarse = np.arange(5.0).reshape(1, 1, 5, 1) + 1
    layer.build(coarse.shape, coarse.shape)
    layer.cut_fine.kernel.assign([[[[1.0]]]])
    layer.cut_coarse.kernel.assign([[[[0.0]]]])
    kernel = np.zeros(layer.flow.kernel.shape)
    kernel[1, 1, 1, 0] = 2 * 5 / (5 - 1)
    layer.flow.kernel.assign(kernel)
    out = np.asarray(layer(np.ones_like(coarse), coarse)).ravel()
    np.testing.assert_allclose(out, [2, 3, 4, 5, 0], atol=1e-5)


@pytest.mark.parametrize("align_corners", [True, False])
def test_warp_without_a_flow_goes_evenly_from_end_to_end(align_corners):
    """From the outermost pixels' centres, or from their outer edges, half outside."""
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 2))
    edge = 0.0 if align_corners else 0.5
    rows, columns = (
        np.linspace(-edge, h - 1 + edge, n) for n, h in zip((7, 5), (3, 4), strict=True)
    )
    around = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = reference.bilinear(around, rows + 1, columns + 1)
    found = layers.FlowWarp(align_corners)(x, np.zeros((2, 7, 5, 2)))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("moves", ["coarse", "fine"])
def test_closed_gate_lets_nothing_flow(moves):
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=(2, *size, 4)) for size in ((7, 9), (4, 5))]
    layer = layers.GatedFlowAlignment(2, moves)
    layer.build(*(x.shape for x in inputs))
    layer.gate.bias.assign([-1e3, -1e3])
    moved = inputs[0] if moves == "fine" else inputs[1]
    still = np.zeros((2, 7, 9, 2))
    expected = layers.FlowWarp(align_corners=False)(moved, still)
    np.testing.assert_array_equal(layer(*inputs), expected)


def test_gated_flow_alignment_refuses_a_level():
    with pytest.raises(ValueError, match=r"one of: coarse, fine\. Received: 'both'"):
        layers.GatedFlowAlignment(2, "both")


def test_depth_to_space_of_another_backend(monkeypatch):
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 18)).astype("float32")
    expected = layers.DepthToSpace(3)(x)
    module = sys.modules[layers.DepthToSpace.__module__]
    monkeypatch.setattr(module, "is_tensorflow", lambda: False)
    np.testing.assert_array_equal(layers.DepthToSpace(3)(x), expected)
