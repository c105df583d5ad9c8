"""Official checkpoints of whole networks: what is wrapped, missing or of others."""

import numpy as np
import pytest
from paddle_files import save_paddle
from torch_files import save_zip

from keras_frm import build_model
from keras_frm.models.weights import ClassifierLeftOut
from keras_frm.networks.bialignnet import BiAlignNet
from keras_frm.networks.checkpoints import official
from keras_frm.networks.checkpoints.modules import layer_targets
from keras_frm.networks.checkpoints.paddle_file import paddle_names
from keras_frm.networks.checkpoints.restricted_pickle import CheckpointError
from keras_frm.networks.ddrnet import DDRNet
from keras_frm.networks.pidnet import PIDNet
from keras_frm.networks.rtformer import RTFormer
from keras_frm.networks.segformer import SegFormer
from keras_frm.networks.sfnet import SFNet

NETWORKS = {
    "ddrnet": DDRNet(width=4, context_width=4, head_width=4),
    "pidnet": PIDNet(width=4, context_width=4, head_width=4),
    "sfnet": SFNet((4, 4, 4, 4), (4, 4, 8), decoder_width=4),
    "segformer": SegFormer((4, 4, 4, 4), (1, 1, 2, 2), decoder_width=4),
    "rtformer": RTFormer(4, grid=2, context_width=4, head_width=4),
    "bialignnet": BiAlignNet((4, 4, 4, 4), ((1, 1), (2, 1), (1, 1)), 4, width=4),
}
every_network = pytest.mark.parametrize("name", NETWORKS)
with_auxiliary_heads = pytest.mark.parametrize(
    "name", [name for name in NETWORKS if official.KEY_MAPS[name].auxiliary]
)
# Networks with checkpoints of ImageNet: starts of names of the whole network -> those
# there, and the classifier there.
TRUNKS = {
    "sfnet": (
        {"layer0.0.": "conv1.", "layer0.1.": "bn1.", "layer": "layer"},
        "fc.weight",
    ),
    "segformer": ({"backbone.": ""}, "head.weight"),
    "bialignnet": ({"backbone.": ""}, "fc.weight"),
}


def model_of(name, preset="camvid"):
    return build_model(preset, network=NETWORKS[name])


def official_state(parts):
    """Return random tensors by their official names."""
    rng = np.random.default_rng(0)
    keys = official.KEY_MAPS[parts.name]
    state = {}
    for layer in parts.training_graph().layers:
        if layer.name in keys.layers:
            for key, target in layer_targets(layer, keys.layers[layer.name]):
                shape = target.torch_shape
                state[key] = rng.uniform(0.5, 1.5, shape).astype("float32")
    return state


def written(tmp_path, state, prefix=""):
    path = tmp_path / "official.pth"
    save_zip(path, {"state_dict": {prefix + key: state[key] for key in state}})
    return path


def weights_of(model):
    return {weight.path: np.array(weight) for weight in model.weights}


@every_network
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "module.model."])
def test_every_weight_is_read(name, prefix, tmp_path):
    model = model_of(name)
    before = weights_of(model)
    state = official_state(model.parts)
    path = written(tmp_path, state | {"loss.weight": np.ones(3, "float32")}, prefix)
    loaded = build_model("camvid", network=NETWORKS[name], weights=path)
    for key, value in weights_of(loaded).items():
        if "seed" not in key and not key.startswith("embedding_head/"):
            assert not np.array_equal(value, before[key]), key
    found = official_state(loaded.parts)
    assert found.keys() == state.keys()


@with_auxiliary_heads
def test_file_without_auxiliary_heads(name, tmp_path):
    model = model_of(name)
    heads = official.KEY_MAPS[name].auxiliary
    state = official_state(model.parts)
    state = {key: state[key] for key in state if not key.startswith(heads)}
    before = [np.array(w) for w in model.auxiliary_layers[0].weights]
    official.load_official_weights(model.parts, written(tmp_path, state))
    for old, new in zip(before, model.auxiliary_layers[0].weights, strict=True):
        np.testing.assert_array_equal(old, new)


@every_network
def test_file_of_other_classes_leaves_the_classifiers(name, tmp_path):
    path = written(tmp_path, official_state(model_of(name, "cityscapes").parts))
    with pytest.warns(ClassifierLeftOut, match=r"has 19 classes, not 11"):
        model = build_model("camvid", network=NETWORKS[name], weights=path)
    means = [w for w in model.network.weights if w.path.endswith("moving_mean")]
    assert all(np.ptp(mean) > 0 for mean in means)
    assert np.all(np.array(model.network.get_layer("classifier").bias) == 0)


@every_network
def test_wrong_tensors_are_named_and_nothing_is_loaded(name, tmp_path):
    model = model_of(name)
    state = official_state(model.parts)
    missing, misshapen = list(state)[1], list(state)[5]
    del state[missing]
    state[misshapen] = np.ones((2, 9), "float32")
    state["layer9.0.weight"] = np.ones(3, "float32")
    before = weights_of(model)
    with pytest.raises(
        CheckpointError,
        match=rf"not fit this network '{name}'; nothing was loaded\. "
        rf"missing: {missing}; surplus: layer9\.0\.weight; "
        rf"misshapen: {misshapen} \(2, 9\) instead of",
    ):
        official.load_official_weights(model.parts, written(tmp_path, state))
    for key, value in weights_of(model).items():
        np.testing.assert_array_equal(value, before[key])


def test_file_of_another_network(tmp_path):
    state = official_state(model_of("ddrnet").parts)
    wider = DDRNet(width=8, context_width=4, head_width=4)
    with pytest.raises(CheckpointError, match=r"conv1\.0\.weight \(4, 3, 3, 3\)"):
        build_model("camvid", network=wider, weights=written(tmp_path, state))


def trunk_of(state, starts):
    """Return the tensors of a backbone by their names in a file of its own."""
    trunk = {}
    for key, value in state.items():
        start = next((each for each in starts if key.startswith(each)), None)
        if start is not None:
            trunk[starts[start] + key.removeprefix(start)] = value
    return trunk


@pytest.mark.parametrize("name", TRUNKS)
def test_trunk_of_imagenet(name, tmp_path):
    model = model_of(name)
    starts, classifier = TRUNKS[name]
    trunk = trunk_of(official_state(model.parts), starts)
    trunk[classifier] = np.ones((1000, 4), "float32")
    before = weights_of(model)
    found = official.load_official_weights(model.parts, written(tmp_path, trunk))
    assert found == model.num_classes
    for key, value in weights_of(model).items():
        is_read = key.startswith("backbone/") and "seed" not in key
        assert np.array_equal(value, before[key]) != is_read, key


def test_file_of_paddle(tmp_path):
    """Its names of a BatchNorm's statistics are its own, and it has one more table."""
    model = model_of("rtformer")
    state = official_state(model.parts)
    written_by_paddle = save_paddle(tmp_path / "a.pdparams", paddle_names(state))
    assert "layer4.attn_l.norm._variance" in paddle_names(state)
    loaded = build_model(
        "camvid", network=NETWORKS["rtformer"], weights=written_by_paddle
    )
    official.load_official_weights(model.parts, written(tmp_path, state))
    found = weights_of(loaded)
    for key, value in weights_of(model).items():
        if "seed" not in key and not key.startswith("embedding_head/"):
            np.testing.assert_array_equal(found[key], value)


def test_unused_classifier_of_a_file_is_left_out(tmp_path):
    model = model_of("segformer")
    state = official_state(model.parts)
    state["decode_head.conv_seg.weight"] = np.ones((19, 4, 1, 1), "float32")
    state["decode_head.conv_seg.bias"] = np.ones(19, "float32")
    path = written(tmp_path, state)
    assert official.load_official_weights(model.parts, path) == model.num_classes
    kernel = np.array(model.network.get_layer("classifier").kernel)  # (1, 1, I, O)
    found = state["decode_head.linear_pred.weight"]  # (O, I, 1, 1)
    np.testing.assert_array_equal(kernel.transpose(3, 2, 0, 1), found)


def test_channels_of_a_pixel_shuffle_are_put_in_order(tmp_path):
    """A file has (class, row, column), and here they are (row, column, class)."""
    model = model_of("bialignnet")
    state = official_state(model.parts)
    classes = np.arange(model.num_classes, dtype="float32")
    pixels = np.arange(64, dtype="float32")
    state["conv_out.conv_out.bias"] = np.add.outer(100 * classes, pixels).ravel()
    official.load_official_weights(model.parts, written(tmp_path, state))
    bias = np.array(model.network.get_layer("classifier").bias)
    np.testing.assert_array_equal(bias, np.add.outer(pixels, 100 * classes).ravel())
