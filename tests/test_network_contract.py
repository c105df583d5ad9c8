"""A network of one file and one registration, from its training to a device."""

from dataclasses import dataclass

import keras
import numpy as np
import pytest
from tiny import assert_same_weights, auxiliary_model, batch, toy_model, weights_of

import keras_frm
from keras_frm import NetworkParts, Segmenter, build_model, register_network
from keras_frm.layers import BilinearUpsampling
from keras_frm.losses import BoundaryLoss, CrossEntropy, OhemCrossEntropy
from keras_frm.networks.contract import parts_of
from keras_frm.networks.registry import NETWORKS, network_of
from keras_frm.presets import preset
from keras_frm.recipes import recipe

SIZE = (32, 64)


@dataclass(frozen=True)
class ToyNetwork:
    """Two convolutions at 1/8, and one auxiliary head on the first."""

    width: int = 8

    def build(self, num_classes, *, input_shape=(None, None, 3), dtype=None):
        conv = keras.layers.Conv2D
        image = keras.Input(input_shape, name="image")
        x = keras.layers.Rescaling(1 / 255, dtype=dtype)(image)
        features = conv(self.width, 8, 8, activation="relu", dtype=dtype, name="stem")(
            x
        )  # (B, H / 8, W / 8, width)
        logits = conv(num_classes, 1, dtype="float32", name="logits")(features)
        early = conv(num_classes, 1, dtype="float32", name="early_logits")(features)
        return NetworkParts(
            image,
            BilinearUpsampling(dtype="float32")(logits, image),
            features,
            auxiliary={"early": early},
            groups={"backbone": ("stem",), "head": ("logits",)},
            stride=8,
            name="toy",
        )


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    """Register the network; the table is put back."""
    monkeypatch.setattr("keras_frm.networks.registry.NETWORKS", dict(NETWORKS))
    return register_network("toy", ToyNetwork())


def trained(**options):
    keras.utils.set_random_seed(2)
    model = build_model("camvid", network="toy", embedding_dim=4, **options)
    model.compile()
    images, labels = batch(4, SIZE, num_classes=11)
    history = model.fit(images, labels, batch_size=2, epochs=2, verbose=0).history
    return model, history


# === The whole way ===


def test_auxiliary_loss_is_trained_and_logged():
    model, history = trained()
    names = ["aux_early", "contrastive", "cross_entropy", "loss", "mean_iou"]
    assert sorted(history) == [*names, "skipped_steps"]
    total = np.add(history["cross_entropy"], history["contrastive"])
    total = total + 0.4 * np.array(history["aux_early"])
    np.testing.assert_allclose(history["loss"], total, rtol=1e-5)
    images, labels = batch(4, SIZE, num_classes=11)
    logs = model.evaluate(images, labels, verbose=0, return_dict=True)
    assert sorted(logs) == ["cross_entropy", "loss", "mean_iou"]


def test_inference_and_network_have_no_auxiliary_head(tmp_path):
    model, _ = trained()
    images, _ = batch(2, SIZE)
    assert model(images).shape == (2, *SIZE, 11)
    assert "early_logits" not in [layer.name for layer in model.network.layers]
    model.network.save(tmp_path / "network.keras")
    loaded = keras_frm.load_model(tmp_path / "network.keras")
    assert len(loaded.weights) == 4
    np.testing.assert_array_equal(loaded(images), model(images))


def test_file_brings_back_all_that_training_needs(tmp_path):
    model, _ = trained()
    model.save(tmp_path / "model.keras")
    loaded = keras_frm.load_model(tmp_path / "model.keras")
    assert weights_of(loaded).keys() == weights_of(model).keys()
    assert_same_weights(loaded, model, rtol=0, atol=0)
    assert list(loaded.parts.auxiliary) == ["early"]
    assert loaded.parts.groups == model.parts.groups
    assert loaded.stride == 8
    assert loaded.features_reader == "logits"
    assert type(loaded.auxiliary_losses["early"]) is CrossEntropy
    images, labels = batch(2, SIZE, num_classes=11)
    steps = []
    for each in (model, loaded):
        keras.utils.set_random_seed(0)
        each.contrastive_weight = 0.0  # it draws its pixels at random
        steps.append(each.train_on_batch(images, labels, return_dict=True))
    assert steps[0]["aux_early"] == pytest.approx(steps[1]["aux_early"], rel=1e-5)
    assert_same_weights(loaded, model)


def test_int8_file_runs_at_the_networks_own_stride(tmp_path):
    model, _ = trained()
    images, _ = batch(8, SIZE)
    path = tmp_path / "toy.tflite"
    keras_frm.export_tflite(
        *(model, path),
        input_shape=SIZE,
        precision="int8",
        representative_data=images,
        output_stride=8,
        min_agreement=0,
    )
    segmenter = Segmenter(path)
    mask = segmenter(images[0])
    assert mask.shape == SIZE
    logits = model.predict(images[:1], verbose=0)[0]
    assert np.mean(mask == logits.argmax(-1)) > 0.5


@pytest.mark.slow
def test_quantised_training_drops_the_auxiliary_head_and_keeps_the_features(tmp_path):
    pytest.importorskip("tf_keras")
    model, _ = trained()
    images, labels = batch(4, SIZE, num_classes=11)
    quantized = keras_frm.quantize_aware(
        model, representative_data=images, input_shape=SIZE, teacher=model
    )
    assert not quantized.parts.auxiliary
    assert (quantized.stride, quantized.features_reader) == (8, "logits")
    assert quantized.parts.features.shape[1:] == (4, 8, 8)
    backbone = [w.path for w in quantized.parts.variables_of("backbone")]
    assert any("stem" in path for path in backbone)
    assert not any("logits" in path for path in backbone)
    quantized.compile()
    logs = quantized.train_on_batch(images, labels, return_dict=True)
    terms = ("cross_entropy", "contrastive", "distillation")
    assert logs["loss"] == pytest.approx(sum(logs[n] for n in terms), rel=1e-5)
    quantized.save(tmp_path / "quantized.keras")
    loaded = keras_frm.load_model(tmp_path / "quantized.keras")
    assert loaded.features_reader == "logits"
    np.testing.assert_array_equal(loaded(images), quantized(images))


# === Losses by name ===


def losses_of(model, images, labels):
    """Return the auxiliary loss of a model, computed by hand."""
    graph = model.parts.training_graph()
    early = graph(images)["aux_early"]
    early = keras.ops.image.resize(early, labels.shape[1:3], interpolation="bilinear")
    log_p = keras.ops.convert_to_numpy(keras.ops.log_softmax(early))
    picked = np.take_along_axis(log_p, np.minimum(labels, 2)[..., None].astype(int), -1)
    return -picked[..., 0][labels != 255].mean()


@pytest.mark.parametrize("weight", [0.4, 1.5])
def test_auxiliary_loss_is_the_cross_entropy_of_resized_logits(weight):
    images, labels = batch()
    images = images.astype("float32")
    chosen = preset("camvid").with_changes(auxiliary_weights={"early": weight})
    model = auxiliary_model(preset=chosen, contrastive_weight=0.0)
    expected = losses_of(model, images, labels)
    model.compile("sgd", run_eagerly=True)
    logs = model.train_on_batch(images, labels, return_dict=True)
    assert logs["aux_early"] == pytest.approx(expected, rel=1e-5)
    total = logs["cross_entropy"] + weight * logs["aux_early"]
    assert logs["loss"] == pytest.approx(total, rel=1e-5)


def test_weight_of_zero_leaves_an_auxiliary_head_out():
    chosen = preset("camvid").with_changes(auxiliary_weights={"early": 0.0})
    model = auxiliary_model(preset=chosen)
    assert not model.auxiliary_layers
    assert not any("early" in weight.path for weight in model.weights)


def test_recipe_and_compile_choose_the_auxiliary_loss():
    chosen = preset("camvid").with_changes(auxiliary_losses={"early": "ohem"})
    model = auxiliary_model(preset=chosen)
    model.compile()
    assert isinstance(model.auxiliary_losses["early"], OhemCrossEntropy)
    own = CrossEntropy(class_weights=[1.0, 2.0, 3.0])
    model.compile(auxiliary_losses={"early": own})
    assert model.auxiliary_losses["early"] is own
    with pytest.raises(ValueError, match=r"names 'late'; .* outputs: early"):
        model.compile(auxiliary_losses={"late": own})


def boundary_model():
    """Return a model with a boundary map beside its logits."""
    image = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(6, 4, 4, activation="relu")(x)
    logits = BilinearUpsampling()(keras.layers.Conv2D(3, 1)(x), image)
    edge = keras.layers.Conv2D(1, 1, name="edge_logits")(x)  # (B, H / 4, W / 4, 1)
    parts = NetworkParts(image, logits, auxiliary={"edge": edge}, stride=4)
    return keras_frm.SegmentationModel(parts, "camvid")


@keras.saving.register_keras_serializable(package="test")
class Everywhere(keras.losses.Loss):
    """A boundary loss that wants an edge in every labelled pixel."""

    def call(self, labels, logits):
        labelled = keras.ops.cast(labels != 255, "float32")
        return keras.ops.softplus(-logits[..., 0]) * labelled


def test_map_of_other_channels_needs_a_loss_of_its_own():
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(3, 1)(image)
    offsets = keras.layers.Conv2D(2, 1)(x)  # (B, H, W, 2)
    parts = NetworkParts(image, x, auxiliary={"offsets": offsets})
    model = keras_frm.SegmentationModel(parts, "camvid")
    with pytest.raises(
        ValueError, match=r"'offsets' has 2 channels.*auxiliary_losses="
    ):
        model.compile()


def test_map_of_one_channel_finds_boundaries():
    model = boundary_model()
    model.compile()
    assert isinstance(model.auxiliary_losses["edge"], BoundaryLoss)
    images, labels = batch()
    logs = model.train_on_batch(images, labels, return_dict=True)
    total = logs["cross_entropy"] + 20 * logs["aux_edge"]
    assert logs["loss"] == pytest.approx(total, rel=1e-5)


def test_boundary_map_with_a_loss_of_its_own(tmp_path):
    model, (images, labels) = boundary_model(), batch()
    model.compile(auxiliary_losses={"edge": Everywhere()})
    first = model.train_on_batch(images, labels, return_dict=True)
    for _ in range(20):
        last = model.train_on_batch(images, labels, return_dict=True)
    assert 0 < last["aux_edge"] < first["aux_edge"]
    assert "contrastive" not in last  # there are no features
    model.save(tmp_path / "model.keras")
    loaded = keras_frm.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.auxiliary_losses["edge"], Everywhere)


def test_contrastive_loss_needs_features():
    parts = boundary_model().parts
    with pytest.raises(ValueError, match=r"no features .* pass contrastive_weight=0"):
        keras_frm.SegmentationModel(parts, "camvid", contrastive_weight=1.0)


# === The registry ===


def test_wrong_option_names_the_network_and_its_options():
    with pytest.raises(ValueError, match=r"'toy' has no option 'depth'. .*: width"):
        build_model("camvid", network="toy", depth=3)


def test_wrong_network_lists_the_right_ones():
    with pytest.raises(
        ValueError, match=r"no network 'tou'. .*: frm, .*, frm_lite0, .*, toy"
    ):
        build_model("camvid", network="tou")


def test_taken_name(toy):
    assert register_network("toy", ToyNetwork()) == toy
    with pytest.raises(ValueError, match="network 'toy' already"):
        register_network("toy", ToyNetwork(width=3))


def test_network_of_a_preset_and_an_object():
    chosen = preset("camvid").with_changes(network="toy")
    assert build_model(chosen).network.name == "toy"
    wide = build_model("camvid", network=ToyNetwork(width=16), width=12)
    assert wide.network.get_layer("stem").filters == 12


def test_papers_network_is_an_object():
    paper = network_of("frm_table1")
    assert (paper.backbone, paper.context) == ("van_small", "frm")
    assert (paper.alignment, paper.decoder_width) == ("flow", 128)
    assert network_of("frm").alignment == "bilinear"


# === Plain networks and groups ===


def test_parts_of_a_plain_network():
    model = toy_model()
    parts = parts_of(model.network)
    assert parts.features is model.parts.features
    assert (parts.stride, parts.num_classes) == (4, 3)
    assert parts.features_reader() == "classifier"


def test_groups_tell_which_weights_have_a_rate_of_their_own():
    model = auxiliary_model()
    model.compile(**recipe("camvid", backbone_multiplier=0.1))
    optimizer = model.optimizer
    optimizer.build(model.trainable_variables)
    slow = [
        v.path.split("/")[0]
        for v in model.trainable_variables
        if float(optimizer.rate_of(v, 1.0)) < 1
    ]
    assert sorted(set(slow)) == ["body", "stem"]
    plain = toy_model()
    plain.compile(**recipe("camvid", backbone_multiplier=0.1))
    with pytest.raises(ValueError, match="no trained weight is a backbone's"):
        plain.optimizer.build(plain.trainable_variables)


@pytest.mark.parametrize("channels", [1, 4])
def test_images_are_rgb(channels):
    with pytest.raises(ValueError, match=r"must end with 3 channels.*Received: .*"):
        build_model("camvid", input_shape=(None, None, channels))
    image = keras.Input((32, 32, channels))
    plain = keras.Model(image, keras.layers.Conv2D(3, 1)(image), name="plain")
    match = f"'plain' takes images of {channels} channels"
    with pytest.raises(ValueError, match=match):
        keras_frm.SegmentationModel(plain)
