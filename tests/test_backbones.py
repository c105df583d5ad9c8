"""Backbones that are not VAN: cut from `keras.applications`, frozen, refused."""

import functools

import keras
import numpy as np
import pytest
from tiny import batch, tiny_model, weights_of

import keras_frm
from keras_frm import backbone_from, build_model
from keras_frm.layers.blocks.padding import CropToStride, PadToMultiple
from keras_frm.presets import preset

STAGES = {
    "MobileNetV3Small": (
        "expanded_conv_project_bn",
        "expanded_conv_2_add",
        "expanded_conv_7_add",
        "expanded_conv_10_add",
    ),
    "EfficientNetV2B0": ("block2b_add", "block3b_add", "block5e_add", "top_activation"),
    "ResNet50V2": (
        "conv2_block2_out",
        "conv3_block3_out",
        "conv4_block5_out",
        "post_relu",
    ),
}


def application(name, shape=(None, None, 3)):
    """Return a new model of random weights."""
    keras.utils.set_random_seed(3)
    make = getattr(keras.applications, name)
    return make(input_shape=shape, include_top=False, weights=None)


unchanged_application = functools.cache(application)  # for what does not train


def mobile_backbone(**options):
    name = "MobileNetV3Small"
    return backbone_from(application(name), STAGES[name], **options)


@pytest.fixture(scope="module")
def model():
    """FRM on a MobileNetV3Small of random weights."""
    return build_model(
        "camvid", backbone=mobile_backbone(), decoder_width=16, embedding_dim=4
    )


# === Stages ===


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("size", [(64, 96), (75, 33)])
def test_stages_round_up_as_vans_do(name, size):
    backbone = backbone_from(unchanged_application(name), STAGES[name])
    stages = backbone(np.zeros((1, *size, 3), np.float32))
    for stage, stride in zip(stages, (4, 8, 16, 32), strict=True):
        assert tuple(stage.shape[1:3]) == tuple(-(-side // stride) for side in size)


def test_multiples_of_32_are_what_the_model_computes():
    whole = unchanged_application("MobileNetV3Small")
    names = STAGES["MobileNetV3Small"]
    backbone = backbone_from(whole, names)
    images = np.random.default_rng(0).uniform(0, 255, (2, 64, 32, 3)).astype("float32")
    wanted = keras.Model(whole.input, [whole.get_layer(n).output for n in names])
    for left, right in zip(backbone(images), wanted(images), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-5)


def test_preprocessing_comes_before_the_model():
    name = "ResNet50V2"
    rescaling = keras.layers.Rescaling(1 / 127.5, offset=-1)
    whole = unchanged_application(name)
    plain = backbone_from(whole, STAGES[name])
    prepared = backbone_from(whole, STAGES[name], preprocessing=rescaling)
    images = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype("float32")
    for left, right in zip(prepared(images), plain(rescaling(images)), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-5)


def test_only_van_is_normalised_by_the_network(model):
    names = [layer.name for layer in model.network.layers]
    assert "normalization" not in names
    assert "normalization" in [x.name for x in tiny_model().network.layers]


def test_padding_and_cropping_leave_what_fits():
    x = keras.ops.ones((1, 32, 64, 3))
    assert PadToMultiple(32)(x) is x
    padded = PadToMultiple(32)(keras.ops.ones((1, 33, 1, 3)))
    assert padded.shape == (1, 64, 32, 3)
    assert float(keras.ops.sum(padded)) == 33 * 3
    stage = keras.ops.ones((1, 8, 16, 2))
    assert CropToStride(4)(stage, x) is stage
    for layer in (PadToMultiple(32), CropToStride(4)):
        assert type(layer).from_config(layer.get_config()).get_config()


# === Under FRM ===


@pytest.mark.slow
def test_trains_a_step_and_comes_back_from_its_file(model, tmp_path):
    images, labels = batch(2, (75, 90), num_classes=11)
    model.compile()
    before = weights_of(model)
    logs = model.train_on_batch(images, labels, return_dict=True)
    assert np.isfinite(logs["loss"])
    moved = [k for k, v in weights_of(model).items() if np.any(before[k] != v)]
    assert any("expanded_conv_3" in path for path in moved)
    model.save(tmp_path / "model.keras")
    loaded = keras_frm.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(images), model(images))


@pytest.mark.slow
@pytest.mark.parametrize("size", [(64, 96), (72, 96)])
def test_exports_to_float32(model, size, tmp_path):
    images, _ = batch(4, size)
    report = keras_frm.export_tflite(
        *(model, tmp_path / "mobile.tflite"),
        input_shape=size,
        representative_data=images,
    )
    assert report.agreement > 0.999


@pytest.mark.slow
def test_exports_to_int8(model, tmp_path):
    images, _ = batch(4, (64, 96))
    report = keras_frm.export_tflite(
        *(model, tmp_path / "mobile.tflite"),
        input_shape=(64, 96),
        precision="int8",
        representative_data=images,
        min_agreement=0,
    )
    assert report.precision == "int8"
    assert report.agreement > 0.5
    assert not report.operations["HARD_SWISH"]


def test_dynamic_sizes_are_served_as_known_ones(model):
    import tensorflow as tf

    served = tf.function(
        model.network,
        input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32)],
        autograph=False,
    )
    images, _ = batch(2, (45, 70))
    images = images.astype("float32")
    np.testing.assert_allclose(served(images), model.network(images), atol=1e-4)


# === Frozen, or slow ===


def moved_by_a_step(model):
    """Return the paths of the weights that a training step moves."""
    images, labels = batch(2, (64, 64), num_classes=11)
    before = weights_of(model)
    model.compile("sgd")
    model.train_on_batch(images, labels)
    return [k for k, v in weights_of(model).items() if np.any(before[k] != v)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", [pytest.param("van", marks=pytest.mark.long), "mobile"]
)
def test_frozen_backbone_stays_as_it_is_also_from_a_file(kind, tmp_path):
    backbone = mobile_backbone() if kind == "mobile" else None
    model = tiny_model(backbone=backbone, freeze_backbone=True)
    model.save(tmp_path / "model.keras")
    for each in (model, keras_frm.load_model(tmp_path / "model.keras")):
        own = {w.path for w in each.parts.variables_of("backbone")}
        moved = moved_by_a_step(each)
        assert moved
        assert not own & set(moved)


@pytest.mark.long
def test_cut_backbone_has_a_rate_of_its_own():
    chosen = preset("camvid").with_changes(backbone_multiplier=0.0, warmup_steps=0)
    model = tiny_model(chosen, backbone=mobile_backbone())
    model.compile()
    images, labels = batch(2, (64, 64), num_classes=11)
    trained = {w.path for w in model.parts.variables_of("backbone") if w.trainable}
    before = weights_of(model)
    model.train_on_batch(images, labels)
    moved = {k for k, v in weights_of(model).items() if np.any(before[k] != v)}
    assert trained
    assert not trained & moved
    assert any("classifier" in path for path in moved)


# === What is none ===


def test_layer_that_does_not_exist():
    names = ("nowhere", *STAGES["MobileNetV3Small"][1:])
    with pytest.raises(ValueError, match="has no layer 'nowhere'") as error:
        backbone_from(unchanged_application("MobileNetV3Small"), names)
    assert "\n" not in str(error.value)


def test_other_strides():
    names = STAGES["MobileNetV3Small"]
    wrong = (names[1], names[1], *names[2:])
    with pytest.raises(ValueError, match=r"makes 8x12, 8x12, .* four stages of 16x24"):
        backbone_from(unchanged_application("MobileNetV3Small"), wrong)
    with pytest.raises(ValueError, match=r"makes 16x24, 8x12, 4x6 of an image"):
        backbone_from(unchanged_application("MobileNetV3Small"), names[:3])


def test_model_of_one_size():
    whole = application("MobileNetV3Small", (64, 64, 3))
    with pytest.raises(ValueError, match=r"64x64 only; .*input_shape=\(None, None, 3"):
        backbone_from(whole, STAGES["MobileNetV3Small"])


def test_backbone_that_rounds_down_is_refused_at_sizes_where_it_matters():
    """MobileNetV3 as it is, without what `backbone_from` puts around it."""
    name = "MobileNetV3Small"
    whole = unchanged_application(name)
    cut = keras.Model(whole.input, [whole.get_layer(n).output for n in STAGES[name]])
    with pytest.raises(ValueError, match=r"of an image of 75x109.*backbone_from"):
        build_model("camvid", backbone=cut, decoder_width=8)
    fixed = build_model(
        "camvid", backbone=cut, decoder_width=8, input_shape=(64, 96, 3)
    )
    assert fixed.network.output_shape == (None, 64, 96, 11)


def test_layer_of_ones_own():
    class Pyramid(keras.layers.Layer):
        """Average-pool the image to the four sizes."""

        def __init__(self):
            super().__init__(name="pyramid")
            self.pools = [
                keras.layers.AveragePooling2D(s, padding="same") for s in (4, 8, 16, 32)
            ]

        def call(self, x):
            return [pool(x) for pool in self.pools]

    model = build_model("camvid", backbone=Pyramid(), decoder_width=8)
    assert model(np.zeros((1, 75, 33, 3))).shape == (1, 75, 33, 11)
